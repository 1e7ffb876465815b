"""Inference calls: ModelInfer and ModelStreamInfer over the path of all predictions."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from lightning_app.serving.grpc.bounded_message import check_parts
from lightning_app.serving.grpc.call import Call
from lightning_app.serving.grpc.infer_messages import read_request, set_parameter, wants_raw, write_response
from lightning_app.serving.grpc.message_pool import Message
from lightning_app.serving.grpc.messages import INFERENCE, ModelInferRequest, ModelStreamInferResponse
from lightning_app.serving.grpc.refusals import facts_of, message_of
from lightning_app.serving.http.errors import HttpError
from lightning_app.serving.http.exchange import LARGE_BODY
from lightning_app.serving.http.incoming import Reply
from lightning_app.serving.http.request_head import RequestHead, fill_head
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.v2.errors import ProtocolError
from lightning_app.serving.v2.infer_request import HEADER_LENGTH
from lightning_app.serving.v2.infer_route import InferHead, InferRoute, binary_media_type

_KNOWN = {b"authorization", b"x-api-key", b"x-request-id", b"x-deadline-ms", b"traceparent", b"tracestate"}
"""Metadata that are read; others are for proxies."""
_INFER, _STREAM = f"/{INFERENCE}/ModelInfer", f"/{INFERENCE}/ModelStreamInfer"
_CANCELLED = 499
"""Status in metrics of a request whose client did not wait for its answer."""
_HEADER_LENGTH = HEADER_LENGTH.lower().encode()
_STREAMED = {
    b"x-arm": "arm",
    b"x-model-digest": "digest",
    b"x-answered-before": "answered_before",
}
"""Headers that are parameters of an answer of a stream, which has no trailing metadata of its own."""
T = TypeVar("T")


class InferCalls:
    """Answers inferences.

    Args:
        state: State of the worker.
    """

    def __init__(self, state: ServingState) -> None:
        self._state = state
        self._route = InferRoute(state)
        self._idle: set[asyncio.Task[bytes | None]] = set()
        self._is_draining = False

    def drain(self) -> None:
        """Ends streams as soon as what they have asked is answered."""
        self._is_draining = True
        for reading in self._idle:
            reading.cancel()

    async def infer(self, call: Call) -> bytes:
        """ModelInfer.

        Args:
            call: The call.
        """
        content = await call.read_one() if self._allows(call) else None
        message, reply = await self._answered(call, content, is_streamed=False)
        facts = facts_of(reply.headers)
        if reply.refusal is not None:
            await call.refuse(reply.refusal, facts)
        call.end_with(facts)
        return await self._response(message, reply, {}, _plain)

    async def stream_infer(self, call: Call) -> None:
        """ModelStreamInfer: requests are answered one after the other, errors within the stream.

        Args:
            call: The call.
        """
        while True:
            content = None
            if self._allows(call) and (content := await self._next(call)) is None:
                return
            message, reply = await self._answered(call, content, is_streamed=True)
            if reply.refusal is None:
                await call.write(await self._response(message, reply, _STREAMED, _streamed))
                continue
            if content is None:
                await call.refuse(reply.refusal, facts_of(reply.headers))
            answer = ModelStreamInferResponse(error_message=message_of(reply.refusal))
            answer.infer_response.id = dict(reply.headers)[b"x-request-id"].decode()
            if message is not None:  # so that a client knows which of its requests is refused
                answer.infer_response.id = message.id or answer.infer_response.id
                answer.infer_response.model_name = message.model_name
            await call.write(answer.SerializeToString())

    def _allows(self, call: Call) -> bool:
        """Whether a message may be read: what comes without a key is not."""
        return self._state.access.allows(call.key, "predict")

    async def _next(self, call: Call) -> bytes | None:
        """The next request of a stream; None at its end."""
        if not self._is_draining:
            reading = asyncio.create_task(call.read())
            self._idle.add(reading)
            try:
                return await reading
            except asyncio.CancelledError:
                if not self._is_draining:
                    raise
            finally:
                self._idle.discard(reading)
        raise HttpError(503, "draining", "the server ends; open the stream again", retry_after=1)

    async def _answered(self, call: Call, content: bytes | None, *, is_streamed: bool) -> tuple[Message, Reply]:
        """The request, None if there is none, and what is answered."""
        message: Message = None
        problem: ProtocolError | None = None
        if content is not None:
            try:
                message = await self.beside(len(content), partial(_parse, content))
            except ProtocolError as error:
                problem = error
        request = _Request(self, call, message, problem, is_streamed)
        try:
            reply = await self._route.answer(request, None if message is None else message.model_name)
        except asyncio.CancelledError:  # by the client, or as its deadline has passed
            self._state.metrics.refused(_CANCELLED)
            raise
        assert reply is not None
        return message, reply

    async def _response(
        self, message: Message, reply: Reply, told: Mapping[bytes, str], write: Callable[[Message], Message]
    ) -> bytes:
        """The answer to a request, with facts of it as parameters."""
        headers = dict(reply.headers)
        facts = {name: headers[header].decode() for header, name in told.items() if headers.get(header)}

        def written() -> bytes:
            response = write_response(reply.body, int(headers[_HEADER_LENGTH]), is_raw=wants_raw(message))
            for name, value in facts.items():
                set_parameter(response, name, value)
            content: bytes = write(response).SerializeToString()
            return content

        return await self.beside(len(reply.body), written)

    async def beside(self, size: int, work: Callable[[], T]) -> T:
        """Does work, in a thread if there is much of it.

        Args:
            size: Bytes of the content.
            work: The work.
        """
        if size < LARGE_BODY:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._state.executor, work)


@dataclass(frozen=True, slots=True)
class _Request:
    """A request over gRPC, for the route of all predictions."""

    calls: InferCalls
    call: Call
    message: Message
    problem: ProtocolError | None
    is_streamed: bool

    @property
    def route(self) -> str:
        return _STREAM if self.is_streamed else _INFER

    def head(self) -> RequestHead:
        head = InferHead("", version=None if self.message is None else self.message.model_version or None)
        fill_head(head, [pair for pair in self.call.metadata if pair[0] in _KNOWN], b"")
        if self.is_streamed and head.is_own_id:
            message = "X-Request-Id: given for a stream, each of whose requests has an id of its own; use id"
            raise HttpError(400, "bad_request_id", message, field="X-Request-Id")
        deadlines = [each for each in (head.deadline_ms, self.call.deadline_ms) if each is not None]
        head.deadline_ms = min(deadlines, default=None)
        return head

    async def body(self, head: RequestHead) -> bytes:
        if self.problem is not None:
            raise self.problem
        assert self.message is not None, "it was not read, because its key does not allow that"
        assert isinstance(head, InferHead)
        body, length = await self.calls.beside(self.message.ByteSize(), partial(read_request, self.message))
        head.header_length = str(length)
        head.media_type = binary_media_type(head.header_length)
        return body


def _parse(content: bytes) -> Message:
    check_parts(content)
    try:
        return ModelInferRequest.FromString(content)
    except DecodeError as error:
        raise ProtocolError("body", "no ModelInferRequest") from error


def _plain(response: Message) -> Message:
    return response


def _streamed(response: Message) -> Message:
    return ModelStreamInferResponse(infer_response=response)
