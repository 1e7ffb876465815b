"""ASGI basics of the hot routes: headers, bodies of bounded size, responses."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from lightning_app.serving.http.errors import HttpError

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class ClientGoneError(Exception):
    """The client closed the connection before its body was complete."""


async def receive_body(receive: Receive, *, content_length: bytes | None, max_bytes: int) -> bytes:
    """Reads the body of a request.

    Args:
        receive: Of the ASGI application.
        content_length: Header of that name.
        max_bytes: Largest size.

    Raises:
        HttpError: The body is too large.
        ClientGoneError: The client has gone.
    """
    if content_length is not None and content_length.isdigit() and int(content_length) > max_bytes:
        raise _too_large(max_bytes)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
        return body
    parts, size = [body], len(body)
    while message.get("more_body", False):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        part = message.get("body", b"")
        size += len(part)
        if size > max_bytes:
            raise _too_large(max_bytes)
        parts.append(part)
    return b"".join(parts)


async def respond(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """Sends a complete response.

    Args:
        send: Of the ASGI application.
        status: HTTP status.
        headers: Headers without the length.
        body: The body.
    """
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _too_large(max_bytes: int) -> HttpError:
    return HttpError(413, "too_large", f"body: at most {max_bytes:,} bytes are allowed", field="body")
