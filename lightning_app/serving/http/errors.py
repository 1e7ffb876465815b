"""HTTP errors: status, code and message of every refusal, and their JSON."""

import logging
import math
import re
from collections.abc import Mapping

import msgspec

from lightning_app.packaging.format.errors import BadRowsError, RequestError
from lightning_app.serving.inference.errors import BreakerOpenError, BusyError, DeadlineError, HangError
from lightning_app.serving.inference.sessions import SessionConflictError, SessionsBusyError, SessionVersionError
from lightning_app.serving.routing.fallback import is_store_error
from lightning_app.serving.security.access_error import AccessError

_log = logging.getLogger("lightning_app.serving")
_STORE = re.compile(r"(?:sqlite|rediss?|postgres(?:ql)?)://[^\s,]+")
_MOST_ROWS = 100
"""Rows that an error lists."""


class HttpError(Exception):
    """A refusal that the client is told.

    Args:
        status: HTTP status.
        code: Short name of the error, for programs.
        message: One line for people: what was given, what is allowed.
        field: Field, column or header that is wrong.
        rows: Row of the request to reason.
        retry_after: Seconds after which to try again.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        rows: Mapping[int, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.rows = rows
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer."""
        if self.status == 401:
            return {"www-authenticate": "Bearer"}
        return {} if self.retry_after is None else {"retry-after": str(max(1, math.ceil(self.retry_after)))}

    def body(self, request_id: str | None) -> bytes:
        """The error as JSON.

        Args:
            request_id: Id of the request, if it has one.
        """
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.field is not None:
            error["field"] = self.field
        if self.rows is not None:
            error["rows"] = {str(row): reason for row, reason in list(self.rows.items())[:_MOST_ROWS]}
            error["num_rows"] = len(self.rows)
        return msgspec.json.encode({"error": error, "request_id": request_id})


def http_error(error: Exception) -> HttpError | None:
    """The refusal that an error stands for; None if it is a defect of the server.

    Args:
        error: Error of inference.
    """
    if isinstance(error, HttpError):
        return error
    if isinstance(error, AccessError):
        return HttpError(error.status, error.code, error.message, retry_after=error.retry_after)
    if isinstance(error, BadRowsError):
        return HttpError(422, "bad_rows", str(error), field=_field(next(iter(error.rows.values()))), rows=error.rows)
    if isinstance(error, RequestError):
        message = _STORE.sub("the online store", str(error))
        return HttpError(422, "bad_request", message, field=_field(message))
    if isinstance(error, BusyError):
        return HttpError(503, "busy", "as many requests wait for the model as may wait; try again", retry_after=1)
    if isinstance(error, DeadlineError):
        return HttpError(504, "deadline", "the deadline passed before the answer was there")
    if isinstance(error, BreakerOpenError):
        return HttpError(503, "breaker_open", f"{error}; try again", retry_after=error.retry_after)
    if isinstance(error, HangError):
        return HttpError(503, "model_hangs", "the model did not end a call, which was given up", retry_after=1)
    if isinstance(error, SessionConflictError):
        return HttpError(409, "session_conflict", str(error), field="session")
    if isinstance(error, SessionVersionError):
        return HttpError(409, "session_of_another_version", str(error), field="session")
    if isinstance(error, SessionsBusyError):
        return HttpError(503, "sessions_busy", str(error), field="session", retry_after=1)
    if is_store_error(error):
        _log.error("the online store cannot be read", exc_info=error)
        return HttpError(
            503, "store_down", "the online store cannot be read, so the rows are not answered", retry_after=1
        )
    return None


def _field(message: str) -> str:
    """The field that a message of a package starts with."""
    field, separator, _ = message.partition(": ")
    return field if separator and len(field) <= 200 else "request"
