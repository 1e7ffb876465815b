"""Errors of the client: what the server refused, and what it could not answer."""

from collections.abc import Mapping


class ServingError(Exception):
    """Base of the errors of the client.

    Args:
        message: One line.
        status: HTTP status of the last answer; None without one.
        code: Short name of the error, as the server gave it.
        request_id: Id of the request, for the server's logs and journal.
    """

    def __init__(self, message: str, *, status: int | None, code: str, request_id: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.request_id = request_id


class RequestRefusedError(ServingError):
    """The server refused the request; sending it again would not help.

    Args:
        message: What was given and what is allowed.
        status: HTTP status, from 400 to 499.
        code: Short name of the error.
        request_id: Id of the request.
        field: Field, column or header that is wrong; None if the server named none.
        rows: Row of the request to reason, of the rows that do not fit.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str,
        request_id: str,
        field: str | None,
        rows: Mapping[int, str],
    ) -> None:
        super().__init__(message, status=status, code=code, request_id=request_id)
        self.field = field
        self.rows = rows


class UnavailableError(ServingError):
    """The server was not reached, had no capacity, was too slow, or failed.

    Args:
        message: What happened last.
        status: HTTP status of the last answer; None if there was none.
        code: Short name of the error.
        request_id: Id of the request; asked again with it, the server answers with what its journal holds.
        attempts: How often the request was sent.
    """

    def __init__(self, message: str, *, status: int | None, code: str, request_id: str, attempts: int) -> None:
        super().__init__(message, status=status, code=code, request_id=request_id)
        self.attempts = attempts
