"""Package errors: invalid packages and requests."""

from collections.abc import Mapping

from lightning_app.errors import UsageError

_LONGEST = 1000


class PackageError(UsageError):
    """The folder is no package, or was changed since it was written."""


class RequestError(UsageError):
    """The request does not fit the package.

    Args:
        message: What is wrong; truncated after 1,000 characters, because it may quote untrusted input.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message if len(message) <= _LONGEST else f"{message[:_LONGEST]}...")


class RunError(RequestError):
    """The model fails at run time on a request that its signature allows."""


class StoppedError(Exception):
    """A call of the model was stopped because it ran for too long; says nothing of the request."""


class BadRowsError(RequestError):
    """Some rows of a request cannot be answered; without them the request is valid.

    Args:
        rows: Row number (from 0) to reason.
        num_rows: Number of rows in the request.

    Attributes:
        rows: Row number (from 0) to reason.
    """

    def __init__(self, rows: Mapping[int, str], *, num_rows: int) -> None:
        self.rows = dict(sorted(rows.items()))
        row, reason = next(iter(self.rows.items()))
        more = f" ({len(self.rows):,} of {num_rows:,} rows cannot be answered)" if num_rows > 1 else ""
        super().__init__(f"row {row}: {reason}{more}")
