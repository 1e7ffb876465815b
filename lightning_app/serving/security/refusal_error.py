"""Refusal errors: answers to requests that are refused before the application sees them."""

import json
import secrets
from http import HTTPStatus


class RefusalError(Exception):
    """A connection or request that breaks a limit of the protocol; the connection is closed after the answer.

    Args:
        status: HTTP status.
        code: Short name of the reason, for programs.
        message: One line for the client.

    Attributes:
        status: As given.
        code: As given.
        message: As given.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def answer(self) -> bytes:
        """The whole answer, in the form of all errors of the server."""
        error = {"error": {"code": self.code, "message": self.message}, "request_id": secrets.token_hex(16)}
        body = json.dumps(error).encode()
        again = b"retry-after: 1\r\n" if self.status == 503 else b""
        return (
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\n".encode()
            + b"content-type: application/json\r\ncache-control: no-store\r\nconnection: close\r\n"
            + again
            + b"content-length: %d\r\n\r\n" % len(body)
            + body
        )
