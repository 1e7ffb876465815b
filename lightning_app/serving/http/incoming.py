"""Incoming requests: what a prediction needs of its transport, HTTP or another one, and the reply that goes back."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from lightning_app.serving.http.asgi import Receive, Scope, receive_body
from lightning_app.serving.http.compression import decompress
from lightning_app.serving.http.errors import HttpError
from lightning_app.serving.http.request_head import RequestHead
from lightning_app.serving.http.serving_state import ServingState


class Incoming(Protocol):
    """A request as its transport brings it.

    Attributes:
        route: Method and path, or the name of the call, as traces name it.
    """

    @property
    def route(self) -> str: ...  # noqa: D102

    def head(self) -> RequestHead:
        """Reads what comes before the body.

        Raises:
            HttpError: A header is not valid.
        """

    async def body(self, head: RequestHead) -> bytes:
        """Reads the body, once the key has been checked.

        Args:
            head: Result of `head`.

        Raises:
            HttpError: The body is malformed, or too large.
            ClientGoneError: The client has gone.
        """


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer to a request.

    Attributes:
        status: HTTP status.
        headers: Headers without the length of the body; the first is `Content-Type`.
        body: The body.
        refusal: What was refused; None if the request was answered.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    refusal: HttpError | None


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request over HTTP.

    Attributes:
        route: Method and path.
        state: State of the worker.
        scope: Of the ASGI application.
        receive: Of the ASGI application.
        read_head: Reads headers and query.
    """

    route: str
    state: ServingState
    scope: Scope
    receive: Receive
    read_head: Callable[[Scope], RequestHead]

    def head(self) -> RequestHead:
        """Reads headers and query."""
        return self.read_head(self.scope)

    async def body(self, head: RequestHead) -> bytes:
        """Receives the body, and decompresses it."""
        most = self.state.config.limits.body_bytes
        body = await receive_body(self.receive, content_length=head.content_length, max_bytes=most)
        if not head.encoding:
            return body
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.state.executor, lambda: decompress(body, head.encoding, most=most))
