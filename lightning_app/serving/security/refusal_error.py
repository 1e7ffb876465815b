"""Refusal errors: answers to requests that are refused before the application sees them."""

import json
import secrets
from http import HTTPStatus

from lightning_app.serving.security.headers import ANSWER_HEADERS


class RefusalError(Exception):
    """A connection or request that breaks a limit of the protocol; the connection is closed after the answer.

    Args:
        status: HTTP status.
        code: Short name of the reason, for programs.
        message: One line for the client.
        field: Part of the request that is wrong.

    Attributes:
        status: As given.
        code: As given.
        message: As given.
        field: As given.
    """

    def __init__(self, status: int, code: str, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field

    def answer(self, target: bytes) -> bytes:
        """The whole answer, in the form of all errors below that address.

        Args:
            target: Address of the request, as far as it is known.
        """
        request_id = secrets.token_hex(16)
        error: object = self.message
        if not target.startswith(b"/v2"):
            error = {"code": self.code, "message": self.message} | ({"field": self.field} if self.field else {})
        content = {"error": error} if isinstance(error, str) else {"error": error, "request_id": request_id}
        body = json.dumps(content).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            (b"x-request-id", request_id.encode()),
            *ANSWER_HEADERS,
            *([(b"retry-after", b"1")] if self.status == 503 else []),
        ]
        lines = [b"HTTP/1.1 %d %s" % (self.status, HTTPStatus(self.status).phrase.encode())]
        return b"\r\n".join([*lines, *(b": ".join(header) for header in headers), b"", body])
