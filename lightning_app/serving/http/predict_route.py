"""Predict route: from the body of a request to its answer; the hot path of the server."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from lightning_app.serving.http.answers import encode_answer, notes_header
from lightning_app.serving.http.asgi import ClientGoneError, Receive, Scope, Send, respond
from lightning_app.serving.http.bodies import JSON, read_body
from lightning_app.serving.http.errors import HttpError, http_error
from lightning_app.serving.http.exchange import LARGE_BODY, exchange
from lightning_app.serving.http.incoming import HttpRequest, Incoming, Reply
from lightning_app.serving.http.request_head import RequestHead, new_request_id, read_head
from lightning_app.serving.http.request_report import RequestReport, trace_headers
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.http.shadow_mirror import ShadowMirror
from lightning_app.serving.inference.loaded_model import Answer, LoadedModel
from lightning_app.serving.inference.model_request import ModelRequest
from lightning_app.serving.inference.stream_turn import StreamTurn
from lightning_app.serving.observability.trace_context import TraceContext
from lightning_app.serving.observability.traced_request import Phase
from lightning_app.serving.routing.served_model import Arm, ServedModel
from lightning_app.serving.security.headers import ANSWER_HEADERS


class PredictRoute:
    """Answers predictions.

    Another protocol is a subclass with its own `read_head`, `read_content`, `model_request`, `encode` and
    `refusal_body`; everything else is the same for all.

    Args:
        state: State of the worker.

    Attributes:
        route: Method and path, as traces name it.
    """

    route = "POST /models/{name}/predict"

    def __init__(self, state: ServingState) -> None:
        self._state = state
        self._limits = state.config.limits
        self._report = RequestReport(state)
        self._mirror = ShadowMirror(state)

    def read_head(self, scope: Scope) -> RequestHead:
        """Reads headers and query.

        Args:
            scope: Of the ASGI application.

        Raises:
            HttpError: One of them is not valid.
        """
        return read_head(scope["headers"], scope["query_string"])

    def read_content(self, body: bytes, head: RequestHead) -> Any:
        """Reads a body, in a thread if it is large.

        Args:
            body: The body.
            head: Headers and query; a protocol whose bodies hold the id of the request sets it here.

        Returns:
            What `model_request` takes.

        Raises:
            HttpError: The body is malformed, or too large.
        """
        return read_body(body, head.media_type, max_rows=self._limits.rows)

    def columns(self, content: Any, names: Sequence[str]) -> Mapping[str, Sequence[Any]]:
        """Columns of a request, for the choice of the arm; those that are missing are left out.

        Args:
            content: Result of `read_content`.
            names: Names of the columns.
        """
        table = content[0].table
        if table is None:
            return {}
        held = table if isinstance(table, Mapping) else table.columns
        return {name: table[name] for name in names if name in held}

    def model_request(self, content: Any, head: RequestHead, model: LoadedModel) -> ModelRequest:
        """The request for the model that was chosen, or that answers in its place.

        Args:
            content: Result of `read_content`.
            head: Headers and query.
            model: The version that will answer.

        Raises:
            HttpError: The request does not fit the model.
        """
        request: ModelRequest = content[0]
        request.at = head.at
        if head.wants_state and (head.accept or head.media_type) != JSON:
            message = f"return_state: given, but only answers in {JSON} contain it; use session=ID"
            raise HttpError(422, "bad_request", message, field="return_state")
        request.turn = StreamTurn.begin(
            model,
            self._state.sessions,
            request=head.request_id if head.is_own_id else None,
            num_rows=request.num_rows,
            session=head.own_session,
            state=content[1],
            returns_state=head.wants_state,
        )
        request.state = None if request.turn is None else request.turn.before
        return request

    def may_fall_back(self, request: ModelRequest, model: LoadedModel) -> bool:  # noqa: ARG002
        """Whether another model may answer: not a part of a stream, whose state is that of this version.

        Args:
            request: The request.
            model: The version that was chosen.
        """
        return request.turn is None

    def encode(
        self, head: RequestHead, digits: int | None, answer: Answer, request: ModelRequest, arm: Arm
    ) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """Body and headers of an answer; its headers begin with `Content-Type`.

        Args:
            head: Headers and query.
            digits: Significant digits of numbers; None keeps all.
            answer: The answer.
            request: The request.
            arm: The arm that was chosen; its model is the one that answered.
        """
        media_type = head.accept or head.media_type
        content = encode_answer(
            answer,
            arm.model,
            media_type=media_type,
            orient=request.orient,
            arm=arm.name,
            request_id=head.request_id,
            digits=digits,
            state=answer.state_text,
        )
        headers = [(b"content-type", media_type.encode())]
        if media_type != JSON and answer.notes:
            headers.append((b"x-notes", notes_header(answer.notes)))
        return content, headers

    def refusal(self, error: Exception) -> HttpError | None:
        """The refusal that an error stands for; None if it is a defect of the server.

        Args:
            error: The error.
        """
        return http_error(error)

    def refusal_body(self, refusal: HttpError, request_id: str) -> bytes:
        """Body of a refusal, JSON.

        Args:
            refusal: The refusal.
            request_id: Id of the request.
        """
        return refusal.body(request_id)

    async def __call__(self, scope: Scope, receive: Receive, send: Send, name: str | None) -> None:
        """Answers one request over HTTP.

        Args:
            scope: Of the ASGI application.
            receive: Of the ASGI application.
            send: Of the ASGI application.
            name: Name of the model; None asks the first.
        """
        reply = await self.answer(HttpRequest(self.route, self._state, scope, receive, self.read_head), name)
        if reply is not None:
            await respond(send, reply.status, reply.headers, reply.body)

    async def answer(self, incoming: Incoming, name: str | None) -> Reply | None:
        """Answers one request of any transport, and reports it.

        Args:
            incoming: The request.
            name: Name of the model; None asks the first.

        Returns:
            The answer or refusal; None if the client has gone.
        """
        started = time.perf_counter()
        head: RequestHead | None = None
        trace: TraceContext | None = None
        phases: list[Phase] = []
        refusal: HttpError | None = None
        defect: Exception | None = None
        served: ServedModel | None = None
        arm: Arm | None = None
        degraded: str | None = None
        is_repeated = False
        rows = 0
        try:
            head = incoming.head()
            trace = self._report.trace(head)
            head.key_entry = self._state.access.check(head.key, "predict", name or self._state.first.name)
            head.key_id = None if head.key_entry is None else head.key_entry.id
            served = self._model(name)
            body = await incoming.body(head)
            arm = served.arm  # until its own is chosen
            content = await self._read(body, head)
            arm = served.choose(head.request_id, head.own_session, partial(self.columns, content))
            request = self.model_request(content, head, arm.model)
            again, encode = partial(self.model_request, content, head), partial(self.encode, head, served.config.digits)
            mirrored = self._mirror.sample(served, head, request, again, encode, len(body))
            answer, headers, degraded, is_repeated = await exchange(
                self._state,
                served,
                arm,
                head,
                request,
                body,
                started=started,
                phases=phases,
                encode=encode if mirrored is None else mirrored.encoded,
                again=again,
                may_fall_back=self.may_fall_back(request, arm.model),
            )
            request_id = head.request_id
            headers.append((b"x-request-id", request_id.encode()))
            status, rows = 200, request.num_rows
            if mirrored is not None:
                self._mirror.take(mirrored)
        except ClientGoneError:
            return None
        except Exception as error:
            refusal = self.refusal(error)
            request_id = new_request_id() if head is None else head.request_id
            if refusal is None:
                defect = error
                refusal = HttpError(500, "internal", "the server failed on this request")
            status, headers, answer = (
                refusal.status,
                _error_headers(refusal, request_id),
                self.refusal_body(refusal, request_id),
            )
        self._report.answered(
            status,
            request_id,
            arm,
            num_rows=rows,
            started=started,
            route=incoming.route,
            trace=trace,
            phases=phases,
            key_id=None if head is None else head.key_id,
            degraded=degraded,
            is_repeated=is_repeated,
            refusal=refusal,
            error=defect,
        )
        if self._state.chaos is not None:
            headers.append((b"x-chaos", b"faults are injected on purpose"))
        if trace is not None:
            headers += trace_headers(trace)
        return Reply(status, headers, answer, refusal)

    def _model(self, name: str | None) -> ServedModel:
        if name is None:
            return self._state.first
        served = self._state.models.get(name)
        if served is None:
            known = ", ".join(self._state.models)
            raise HttpError(404, "no_such_model", f"model: {name[:100]!r} given, served are {known}", field="model")
        return served

    async def _read(self, body: bytes, head: RequestHead) -> Any:
        if len(body) < LARGE_BODY:
            return self.read_content(body, head)
        return await asyncio.get_running_loop().run_in_executor(self._state.executor, self.read_content, body, head)


def _error_headers(refusal: HttpError, request_id: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", JSON.encode()),
        *ANSWER_HEADERS,
        (b"x-request-id", request_id.encode()),
        *((name.encode(), value.encode()) for name, value in refusal.headers.items()),
    ]
