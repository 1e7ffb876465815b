"""Exchange: from a model request to the bytes of its answer, journalled before it is sent; shared by all protocols."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from lightning_app.serving.http.errors import HttpError
from lightning_app.serving.http.prediction_record import arrow_features, content_digest, take_entity
from lightning_app.serving.http.request_head import RequestHead
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.inference.loaded_model import Answer, Predictions
from lightning_app.serving.inference.model_request import ModelRequest
from lightning_app.serving.journal.errors import JournalError, JournalRecordError
from lightning_app.serving.journal.record import Earlier, Prediction
from lightning_app.serving.observability.traced_request import Phase
from lightning_app.serving.routing.served_model import Arm, ServedModel
from lightning_app.serving.security.headers import ANSWER_HEADERS

LARGE_BODY = 2**18
"""Bodies from this size, in bytes, are read in a thread, so that other requests go on."""
_LARGE_ANSWER = 2**20
"""Answers from this size, in bytes, are written in a thread too."""
Headers: TypeAlias = list[tuple[bytes, bytes]]
Encode: TypeAlias = Callable[[Answer], tuple[bytes, Headers]]
"""Body and headers of an answer; the headers begin with `Content-Type`."""


async def exchange(
    state: ServingState,
    served: ServedModel,
    arm: Arm,
    head: RequestHead,
    request: ModelRequest,
    body: bytes,
    *,
    started: float,
    phases: list[Phase],
    encode: Encode,
) -> tuple[bytes, Headers]:
    """Asks the arm, and journals its answer.

    Args:
        state: State of the worker.
        served: The model that is asked.
        arm: The arm that was chosen.
        head: Headers and query.
        request: The request.
        body: Body of the request as it was sent.
        started: When the request arrived, by `time.perf_counter`.
        phases: Parts of the request for its trace; those of the exchange are added.
        encode: Writes the answer.

    Returns:
        body: Body of the answer; that of then, if this request id was answered before.
        headers: Its headers, with those of the version that answered.

    Raises:
        HttpError: The request id was used for another request, or the journal is down.
        BusyError: Too many requests wait.
        DeadlineError: The deadline passed.
        RequestError: The request does not fit the package.
    """
    model = arm.model
    entity = None if served.config.entity is None else take_entity(request, served.config.entity, model)
    content = (
        content_digest(body, head.media_type, head.accept, head.query)
        if state.journal is not None or served.cache is not None
        else b""
    )
    state.access.rows(head.key_entry, request.num_rows)
    answer = await _answer(state, served, arm, head, request, body, content, started, phases)
    if request.turn is not None:
        answer.state_text = request.turn.end(answer.state)
    if _num_bytes(answer.predictions) < _LARGE_ANSWER:
        answer_body, headers = encode(answer)
    else:
        answer_body, headers = await asyncio.get_running_loop().run_in_executor(state.executor, encode, answer)
    if state.journal is None:
        return answer_body, headers + _version_headers(model.name, model.version, model.digest, arm.name)
    seconds = time.perf_counter() - started
    prediction = Prediction(
        request_id=head.request_id,
        time=time.time() - seconds,
        model=model.name,
        version=model.version,
        digest=model.digest,
        arm=arm.name,
        probability=arm.probability,
        entity=entity,
        num_rows=request.num_rows,
        latency_ms=1000 * seconds,
        content_type=head.media_type,
        body=body,
        query=head.query,
        answer_type=_joined(headers),
        answer=answer_body,
        features=None if answer.features is None else arrow_features(answer.features),
        body_digest=content,
        key_id=head.key_id,
        degraded=None,
        experiment=arm.experiment,
    )
    try:
        earlier = await state.journal.commit((prediction,))
    except JournalError as error:
        raise HttpError(
            503, "journal_down", "the answer could not be journalled and is not given; try again", retry_after=1
        ) from error
    except JournalRecordError as error:
        raise HttpError(422, "bad_request", "request: it cannot be journalled, so it is not answered") from error
    phases.append(("journal", started + seconds, time.perf_counter()))
    if head.request_id in earlier and (again := _again(earlier[head.request_id], prediction)) is not None:
        return again
    return answer_body, headers + _version_headers(model.name, model.version, model.digest, arm.name)


async def _answer(
    state: ServingState,
    served: ServedModel,
    arm: Arm,
    head: RequestHead,
    request: ModelRequest,
    body: bytes,
    content: bytes,
    started: float,
    phases: list[Phase],
) -> Answer:
    """The answer of the cache, else of the arm."""
    key = (arm.model.digest, content)
    if served.cache is not None and request.turn is None:
        cached = served.cache.get(key)
        metrics = state.metrics.model(name=arm.model.name, version=arm.model.version, arm=arm.name)
        (metrics.cache_misses if cached is None else metrics.cache_hits).add()
        if cached is not None:
            return cached
    if len(body) < LARGE_BODY:
        prepared = arm.model.prepare(request)
    else:
        loop = asyncio.get_running_loop()
        prepared = await loop.run_in_executor(state.executor, arm.model.prepare, request)
    waiting = time.perf_counter()
    seconds = (head.deadline_ms or served.config.deadline_ms) / 1000 - (waiting - started)
    answer = await arm.batcher.answer(prepared, seconds=seconds)
    phases += ("queue", waiting, answer.started), ("inference", answer.started, answer.ended)
    if served.cache is not None and request.turn is None:
        served.cache.put(key, answer)
    return answer


def _num_bytes(predictions: Predictions) -> float:
    if not isinstance(predictions, Mapping):
        return predictions.estimated_size()
    return sum(
        value.nbytes if isinstance(value, np.ndarray) else sum(getattr(row, "nbytes", 0) for row in value)
        for value in predictions.values()
    )


def _again(earlier: Earlier, prediction: Prediction) -> tuple[bytes, Headers] | None:
    """The answer that was given to the same request before, whichever version answers now.

    None if that answer was not kept whole and the same version has just given it again.
    """
    if earlier.body_digest != prediction.body_digest or earlier.model != prediction.model:
        raise HttpError(
            409, "request_id_used", "X-Request-Id: used for another request before; take a new one",
            field="X-Request-Id",
        )  # fmt: skip
    if earlier.is_redacted:
        if earlier.digest == prediction.digest:
            return None
        message = "X-Request-Id: answered by another version before, whose answer is not kept; take a new one"
        raise HttpError(409, "request_id_used", message, field="X-Request-Id")
    headers = [*_parted(earlier.answer_type), (b"x-answered-before", b"true")]
    return earlier.answer, headers + _version_headers(earlier.model, earlier.version, earlier.digest, earlier.arm)


def _joined(headers: Headers) -> str:
    """Media type of an answer, with its other headers as parameters."""
    (_, media_type), *others = headers
    return "; ".join([media_type.decode(), *(f"{name.decode()}={value.decode()}" for name, value in others)])


def _parted(answer_type: str) -> Headers:
    media_type, *others = answer_type.split("; ")
    pairs = (other.partition("=") for other in others)
    return [(b"content-type", media_type.encode()), *((name.encode(), value.encode()) for name, _, value in pairs)]


def _version_headers(name: str, version: int | None, digest: str, arm: str) -> Headers:
    return [
        *ANSWER_HEADERS,
        (b"x-model", name.encode()),
        (b"x-model-version", b"" if version is None else b"%d" % version),
        (b"x-model-digest", digest.encode()),
        (b"x-arm", arm.encode()),
    ]
