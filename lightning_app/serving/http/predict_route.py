"""Predict route: from the body of a request to its answer; the hot path of the server."""

import asyncio
import logging
import time
from typing import Any

from lightning_app.serving.http.answers import encode_answer
from lightning_app.serving.http.asgi import ClientGoneError, Receive, Scope, Send, receive_body, respond
from lightning_app.serving.http.bodies import JSON, read_body
from lightning_app.serving.http.errors import HttpError, http_error
from lightning_app.serving.http.request_head import RequestHead, new_request_id, read_head
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.inference.loaded_model import Prepared
from lightning_app.serving.inference.model_request import ModelRequest
from lightning_app.serving.inference.served_model import Arm, ServedModel

_log = logging.getLogger("lightning_app.serving")
_LARGE_BODY = 2**18
"""Bodies from this size, in bytes, are read in a thread, so that other requests go on."""


class PredictRoute:
    """Answers predictions.

    Args:
        state: State of the worker.
    """

    def __init__(self, state: ServingState) -> None:
        self._state = state
        self._limits = state.config.limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send, name: str | None) -> None:
        """Answers one request.

        Args:
            scope: Of the ASGI application.
            receive: Of the ASGI application.
            send: Of the ASGI application.
            name: Name of the model; None asks the first.
        """
        started = time.perf_counter()
        state = self._state
        head: RequestHead | None = None
        served: ServedModel | None = None
        arm: Arm | None = None
        rows = 0
        try:
            head = read_head(scope["headers"], scope["query_string"])
            served = self._model(name)
            body = await receive_body(receive, content_length=head.content_length, max_bytes=self._limits.body_bytes)
            arm = served.choose(head.request_id)
            request, _ = await self._read(body, head)
            status, headers, answer = await self._answer(served, arm, head, request, body, started)
            rows = request.num_rows
        except ClientGoneError:
            return
        except Exception as error:
            refusal = http_error(error)
            request_id = new_request_id() if head is None else head.request_id
            if refusal is None:
                _log.exception("prediction failed", extra={"request_id": request_id})
                refusal = HttpError(500, "internal", "the server failed on this request")
            status, headers, answer = refusal.status, _error_headers(refusal, request_id), refusal.body(request_id)
        if arm is None:
            state.metrics.refused(status)
        else:
            metrics = state.metrics.model(name=arm.model.name, version=arm.model.version, arm=arm.name)
            metrics.observe(status, time.perf_counter() - started, rows)
        await respond(send, status, headers, answer)

    def _model(self, name: str | None) -> ServedModel:
        if name is None:
            return self._state.first
        served = self._state.models.get(name)
        if served is None:
            known = ", ".join(self._state.models)
            raise HttpError(404, "no_such_model", f"model: {name[:100]!r} given, served are {known}", field="model")
        return served

    async def _read(self, body: bytes, head: RequestHead) -> tuple[ModelRequest, Any]:
        if len(body) < _LARGE_BODY:
            request, state = read_body(body, head.media_type, max_rows=self._limits.rows)
        else:
            loop = asyncio.get_running_loop()
            request, state = await loop.run_in_executor(
                self._state.executor, lambda: read_body(body, head.media_type, max_rows=self._limits.rows)
            )
        request.at = head.at
        request.wants_state = head.wants_state
        return request, state

    async def _answer(
        self, served: ServedModel, arm: Arm, head: RequestHead, request: ModelRequest, body: bytes, started: float
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Asks the arm, writes the journal, and encodes the answer."""
        model = arm.model
        prepared = await self._prepare(arm, request, body)
        seconds = (head.deadline_ms or served.config.deadline_ms) / 1000 - (time.perf_counter() - started)
        answer = await arm.batcher.answer(prepared, seconds=seconds)
        media_type = head.accept or head.media_type
        content = encode_answer(
            answer,
            model,
            media_type=media_type,
            orient=request.orient,
            arm=arm.name,
            request_id=head.request_id,
            digits=served.config.digits,
        )
        version, digest = model.version, model.digest
        headers = [
            (b"content-type", media_type.encode()),
            (b"cache-control", b"no-store"),
            (b"x-request-id", head.request_id.encode()),
            (b"x-model", model.name.encode()),
            (b"x-model-version", b"" if version is None else b"%d" % version),
            (b"x-model-digest", digest.encode()),
        ]
        return 200, headers, content

    async def _prepare(self, arm: Arm, request: ModelRequest, body: bytes) -> Prepared:
        if len(body) < _LARGE_BODY:
            return arm.model.prepare(request)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._state.executor, arm.model.prepare, request)


def _error_headers(refusal: HttpError, request_id: str) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"content-type", JSON.encode()),
        (b"cache-control", b"no-store"),
        (b"x-request-id", request_id.encode()),
    ]
    if refusal.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, round(refusal.retry_after))))
    return headers
