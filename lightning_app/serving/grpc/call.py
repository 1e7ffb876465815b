"""Calls: what handlers need of a gRPC call, and how it ends when it is refused or fails."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NoReturn, TypeAlias

import grpc  # type: ignore[import-untyped]

from lightning_app.serving.grpc.refusals import Metadata, details_of, message_of, status_of
from lightning_app.serving.http.errors import HttpError, http_error
from lightning_app.serving.http.guarded_routes import presented_key
from lightning_app.serving.http.request_head import new_request_id
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.observability.logs import log_refusal
from lightning_app.serving.v2.errors import ProtocolError

_LEAST_MS = 0.001


class Call:
    """One call.

    Args:
        context: Context of grpc.aio.
        state: State of the worker.

    Attributes:
        metadata: Names in lower case, and values, of what is text.
        key: API key; None without one.
    """

    def __init__(self, context: Any, state: ServingState) -> None:
        self._context = context
        self._state = state
        self.metadata: list[tuple[bytes, bytes]] = [
            (name.encode(), value.encode()) for name, value in context.invocation_metadata() or () if type(value) is str
        ]
        self.key = presented_key({"headers": self.metadata})

    @property
    def deadline_ms(self) -> float | None:
        """Time that is left of the client's deadline, in milliseconds; None without one."""
        seconds: float | None = self._context.time_remaining()
        return None if seconds is None else max(_LEAST_MS, 1000 * seconds)

    async def read(self) -> bytes | None:
        """The next message; None at the end of the stream."""
        message = await self._context.read()
        return None if message is grpc.aio.EOF else message

    async def read_one(self) -> bytes:
        """The only message, which has to arrive in the time that a body has.

        Raises:
            HttpError: It did not.
            ProtocolError: The client has sent none.
        """
        seconds = self._state.config.limits.body_seconds
        try:
            async with asyncio.timeout(seconds):
                message = await self.read()
        except TimeoutError:
            text = f"the request did not arrive within {seconds:g} s"
            raise HttpError(408, "request_timeout", text) from None
        if message is None:
            raise ProtocolError("body", "no message given")
        return message

    async def write(self, message: bytes) -> None:
        """Sends a message of a stream.

        Args:
            message: The message.
        """
        await self._context.write(message)

    def end_with(self, facts: Metadata) -> None:
        """Sets the trailing metadata.

        Args:
            facts: The metadata.
        """
        self._context.set_trailing_metadata(facts)

    async def refuse(self, refusal: HttpError, facts: Metadata = ()) -> NoReturn:
        """Ends the call with an error.

        Args:
            refusal: The refusal.
            facts: Further trailing metadata.
        """
        await self._context.abort(status_of(refusal), message_of(refusal), (*facts, *details_of(refusal)))
        raise AssertionError("abort raises")


Behaviour: TypeAlias = Callable[[Call], Awaitable[bytes | None]]
"""Answers a call; None where it has written its answers itself."""


class Slots:
    """Calls of one sort that may be open at the same time.

    Args:
        most: How many.
    """

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._open = 0

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """One of them.

        Raises:
            HttpError: There is none left.
        """
        if self._open >= self._most:
            raise HttpError(503, "too_many_calls", f"over {self._most:,} such calls are open", retry_after=1)
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1


def handler(
    method: str, behaviour: Behaviour, state: ServingState, slots: Slots, *, is_stream: bool, is_counted: bool
) -> Any:
    """Handler of a method: nothing that a client sends ends it with another error than a refusal.

    A call with one message is handled as a stream too: its message is read once its key has been checked, and may
    not take as long as it likes.

    Args:
        method: Address of the method.
        behaviour: Answers a call.
        state: State of the worker.
        slots: Calls that may be open.
        is_stream: Whether the method answers with a stream.
        is_counted: Whether a refusal is one of a prediction, for metrics.
    """

    async def handle(_: object, context: Any) -> bytes | None:
        call = Call(context, state)
        state.metrics.in_flight.add(1)
        try:
            async with slots.one():
                return await behaviour(call)
        except (grpc.aio.AbortError, grpc.aio.BaseError):
            raise
        except Exception as error:
            refusal, defect = refusal_of(error), None
            if refusal is None:
                refusal, defect = HttpError(500, "internal", "the server failed on this request"), error
            if is_counted:
                state.metrics.refused(refusal.status)
            request_id = new_request_id()
            log_refusal(
                status=refusal.status,
                code=refusal.code,
                method="gRPC",
                path=method,
                request_id=request_id,
                key_id=None,
                error=defect,
            )
            await call.refuse(refusal, (("x-request-id", request_id),))
        finally:
            state.metrics.in_flight.add(-1)

    kind = grpc.stream_stream_rpc_method_handler if is_stream else grpc.stream_unary_rpc_method_handler
    return kind(handle)


def refusal_of(error: Exception) -> HttpError | None:
    """The refusal that an error stands for; None if it is a defect of the server.

    Args:
        error: The error.
    """
    if isinstance(error, ProtocolError):
        return HttpError(400, "bad_request", str(error), field=error.field)
    return http_error(error)
