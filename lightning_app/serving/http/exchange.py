"""Exchange: from a model request to the bytes of its answer, journalled before it is sent; shared by all protocols."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np

from lightning_app.serving.http.errors import HttpError
from lightning_app.serving.http.request_head import RequestHead
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.inference.cache import CacheKey
from lightning_app.serving.inference.loaded_model import Answer, LoadedModel, Predictions, Prepared
from lightning_app.serving.inference.model_request import ModelRequest
from lightning_app.serving.inference.prediction_record import arrow_features, content_digest, take_entity
from lightning_app.serving.journal.errors import JournalError, JournalRecordError
from lightning_app.serving.journal.record import Earlier, Prediction
from lightning_app.serving.observability.traced_request import Phase
from lightning_app.serving.routing.fallback import Again, answer_with_fallback, is_store_error
from lightning_app.serving.routing.served_model import Arm, ServedModel
from lightning_app.serving.security.headers import ANSWER_HEADERS

LARGE_BODY = 2**18
"""Bodies from this size, in bytes, are read in a thread, so that other requests go on."""
_LARGE_ANSWER = 2**20
"""Answers from this size, in bytes, are written in a thread too."""
Headers: TypeAlias = list[tuple[bytes, bytes]]
Encode: TypeAlias = Callable[[Answer, ModelRequest, Arm], tuple[bytes, Headers]]
"""Body and headers of an answer; the headers begin with `Content-Type`. The model of the arm is that which answered."""


class Exchanged(NamedTuple):
    """What is sent.

    Attributes:
        body: Body of the answer; that of then, if this request id was answered before.
        headers: Its headers, with those of the version that answered.
        degraded: Why it is not the answer of the arm that was chosen, in a word; None if it is.
        is_repeated: Whether it is the answer of then.
    """

    body: bytes
    headers: Headers
    degraded: str | None
    is_repeated: bool = False


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
    again: Again,
    may_fall_back: bool,
) -> Exchanged:
    """Asks the arm, or what answers in its place, and journals the answer.

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
        again: Reads the request for another model.
        may_fall_back: Whether another model may answer.

    Raises:
        HttpError: The request id was used for another request, or the journal is down.
        BreakerOpenError: The arm has failed too often.
        BusyError: Too many requests wait.
        DeadlineError: The deadline passed.
        RequestError: The request does not fit the package.
    """
    entity = None
    if served.config.entity is not None:
        request = replace(request)  # another model may read the entity
        entity = take_entity(request, served.config.entity, arm.model)
        again = partial(_again_without_entity, again, served.config.entity)
    content = (
        content_digest(body, head.media_type, head.accept, head.query)
        if state.journal is not None or served.cache is not None
        else b""
    )
    state.access.rows(head.key_entry, request.num_rows)
    answer, model = None, arm.model
    ask = partial(_ask, state, len(body) >= LARGE_BODY, phases)
    key = (model.digest, content)
    takes_cached = served.cache is not None and request.turn is None
    if takes_cached:
        answer = _cached(state, served, arm, key)
    if answer is None:
        until = started + (head.deadline_ms or served.config.deadline_ms) / 1000
        if arm.breaker is None:
            answer = await ask(arm, request, until - time.perf_counter())
        else:
            answer, request, model = await answer_with_fallback(
                served, arm, request, ask, again, until=until, may_fall_back=may_fall_back
            )
        if takes_cached and answer.degraded is None:
            assert served.cache is not None
            served.cache.put(key, answer)
    if request.turn is not None:
        answer.state_text = request.turn.end(answer.state)
    answering = arm
    if answer.degraded is not None:
        answering = replace(arm, model=model)
        state.metrics.degraded(name=model.name, arm=arm.name, reason=answer.degraded)
    answer_body, headers = await encoded(state, encode, answer, request, answering)
    sent = Exchanged(answer_body, headers + _version_headers(answering, answer.degraded), answer.degraded)
    if state.journal is None:
        return sent
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
        degraded=answer.degraded,
        experiment=arm.experiment,
    )
    try:
        earlier = await state.journal.commit((prediction,))
    except (JournalError, JournalRecordError) as error:
        if request.turn is not None:
            request.turn.undo()
        if isinstance(error, JournalRecordError):
            message = "request: it cannot be journalled, so it is not answered"
            raise HttpError(422, "bad_request", message) from error
        raise HttpError(
            503, "journal_down", "the answer could not be journalled and is not given; try again", retry_after=1
        ) from error
    phases.append(("journal", started + seconds, time.perf_counter()))
    if head.request_id in earlier and (held := _again(earlier[head.request_id], prediction)) is not None:
        return held
    return sent


def _cached(state: ServingState, served: ServedModel, arm: Arm, key: CacheKey) -> Answer | None:
    assert served.cache is not None
    cached = served.cache.get(key)
    metrics = state.metrics.model(name=arm.model.name, version=arm.model.version, arm=arm.name)
    (metrics.cache_misses if cached is None else metrics.cache_hits).add()
    return cached


async def _ask(
    state: ServingState, is_large: bool, phases: list[Phase], arm: Arm, request: ModelRequest, seconds: float
) -> Answer:
    """The answer of an arm."""
    began = time.perf_counter()
    try:
        ready = await prepared(state, is_large, arm.model.prepare, request)
    except Exception as error:
        if not arm.model.has_defaults or not is_store_error(error):
            raise
        ready = await prepared(state, is_large, arm.model.prepare_without_store, request)
    waiting = time.perf_counter()
    answer = await arm.batcher.answer(ready, seconds=seconds - (waiting - began))
    phases += ("queue", waiting, answer.started), ("inference", answer.started, answer.ended)
    return answer


async def prepared(
    state: ServingState, is_large: bool, prepare: Callable[[ModelRequest], Prepared], request: ModelRequest
) -> Prepared:
    """Prepares a request for the model, in a thread if it is large.

    Args:
        state: State of the worker.
        is_large: Whether the body has `LARGE_BODY` bytes or more.
        prepare: Prepares it.
        request: The request.
    """
    if not is_large:
        return prepare(request)
    return await asyncio.get_running_loop().run_in_executor(state.executor, prepare, request)


async def encoded(
    state: ServingState, encode: Encode, answer: Answer, request: ModelRequest, arm: Arm
) -> tuple[bytes, Headers]:
    """Body and headers of an answer, written in a thread if it is large.

    Args:
        state: State of the worker.
        encode: Writes the answer.
        answer: The answer.
        request: The request.
        arm: The arm; its model is the one that answered.
    """
    if _num_bytes(answer.predictions) < _LARGE_ANSWER:
        return encode(answer, request, arm)
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(state.executor, encode, answer, request, arm)


def _num_bytes(predictions: Predictions) -> float:
    if not isinstance(predictions, Mapping):
        return predictions.estimated_size()
    return sum(
        value.nbytes if isinstance(value, np.ndarray) else sum(getattr(row, "nbytes", 0) for row in value)
        for value in predictions.values()
    )


def _again_without_entity(again: Again, column: str, model: LoadedModel) -> ModelRequest:
    request = replace(again(model))
    take_entity(request, column, model)
    return request


def _again(earlier: Earlier, prediction: Prediction) -> Exchanged | None:
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
    headers += _headers(earlier.model, earlier.version, earlier.digest, earlier.arm, earlier.degraded)
    return Exchanged(earlier.answer, headers, None, is_repeated=True)


def _joined(headers: Headers) -> str:
    """Media type of an answer, with its other headers as parameters."""
    (_, media_type), *others = headers
    return "; ".join([media_type.decode(), *(f"{name.decode()}={value.decode()}" for name, value in others)])


def _parted(answer_type: str) -> Headers:
    media_type, *others = answer_type.split("; ")
    pairs = (other.partition("=") for other in others)
    return [(b"content-type", media_type.encode()), *((name.encode(), value.encode()) for name, _, value in pairs)]


def _version_headers(arm: Arm, degraded: str | None) -> Headers:
    return _headers(arm.model.name, arm.model.version, arm.model.digest, arm.name, degraded)


def _headers(name: str, version: int | None, digest: str, arm: str, degraded: str | None) -> Headers:
    headers = [
        *ANSWER_HEADERS,
        (b"x-model", name.encode()),
        (b"x-model-version", b"" if version is None else b"%d" % version),
        (b"x-model-digest", digest.encode()),
        (b"x-arm", arm.encode()),
    ]
    if degraded is not None:
        headers.append((b"x-degraded", degraded.encode()))
    return headers
