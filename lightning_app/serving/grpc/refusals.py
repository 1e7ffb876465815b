"""Refusals over gRPC: status, message and details of an HTTP error, and facts of an answer as trailing metadata."""

from typing import TypeAlias

import grpc  # type: ignore[import-untyped]

from lightning_app.serving.grpc.messages import ErrorInfo, RetryInfo, RpcStatus
from lightning_app.serving.http.errors import HttpError
from lightning_app.serving.security.headers import ANSWER_HEADERS
from lightning_app.serving.v2.infer_request import HEADER_LENGTH

Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    409: grpc.StatusCode.ABORTED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_ALREADY_USED = "request_id_used"
_MOST_CHARACTERS = 1000
"""Of a message, which travels as a header: clients take 8 KiB of headers."""
_DOMAIN = "lightning-app"
_TYPES = "type.googleapis.com/google.rpc."
_NOT_TOLD = {
    "content-type",
    "www-authenticate",
    HEADER_LENGTH.lower(),
    *(name.decode() for name, _ in ANSWER_HEADERS),
}
"""Headers that mean something in HTTP alone."""


def status_of(refusal: HttpError) -> grpc.StatusCode:
    """Status that a refusal has in gRPC.

    Args:
        refusal: The refusal.
    """
    if refusal.code == _ALREADY_USED:
        return grpc.StatusCode.ALREADY_EXISTS
    return _CODES[refusal.status]


def message_of(refusal: HttpError) -> str:
    """Message of a refusal, at most so long that every client takes it.

    Args:
        refusal: The refusal.
    """
    message = refusal.message
    return message if len(message) <= _MOST_CHARACTERS else f"{message[:_MOST_CHARACTERS]}..."


def details_of(refusal: HttpError) -> Metadata:
    """Details of a refusal: its code, and when to try again, also for clients that retry by themselves.

    Args:
        refusal: The refusal.
    """
    status = RpcStatus(code=status_of(refusal).value[0], message=message_of(refusal))
    information = ErrorInfo(reason=refusal.code.upper(), domain=_DOMAIN)
    status.details.add(type_url=f"{_TYPES}ErrorInfo", value=information.SerializeToString())
    metadata: list[tuple[str, str | bytes]] = []
    if refusal.retry_after is not None:
        wait = RetryInfo()
        wait.retry_delay.seconds = int(refusal.retry_after)
        wait.retry_delay.nanos = int(refusal.retry_after % 1 * 1e9)
        status.details.add(type_url=f"{_TYPES}RetryInfo", value=wait.SerializeToString())
        metadata.append(("grpc-retry-pushback-ms", str(round(1000 * refusal.retry_after))))
    return (*metadata, ("grpc-status-details-bin", status.SerializeToString()))


def facts_of(headers: list[tuple[bytes, bytes]]) -> Metadata:
    """Headers of an HTTP answer as trailing metadata.

    Args:
        headers: The headers.
    """
    named = ((name.decode().lower(), value.decode("latin-1")) for name, value in headers)
    return tuple((name, value) for name, value in named if name not in _NOT_TOLD)
