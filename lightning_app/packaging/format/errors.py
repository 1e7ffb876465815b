"""What is wrong with a package, or with what it was asked."""

from collections.abc import Mapping

from lightning_app.errors import UsageError

_LONGEST = 1000


class PackageError(UsageError):
    """A folder is no package, or not the one that was written."""


class RequestError(UsageError):
    """A request does not fit the package.

    Args:
        message: What is wrong; cut after 1,000 characters, because it repeats what strangers sent.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message if len(message) <= _LONGEST else f"{message[:_LONGEST]}...")


class RunError(RequestError):
    """The model fails on what it was given, though the signature allows it."""


class BadRowsError(RequestError):
    """Some rows of a request cannot be answered; without them it can.

    Args:
        rows: The reason, by number of the row from 0.
        num_rows: Rows of the request.

    Attributes:
        rows: The reason, by number of the row from 0.
    """

    def __init__(self, rows: Mapping[int, str], *, num_rows: int) -> None:
        self.rows = dict(sorted(rows.items()))
        row, reason = next(iter(self.rows.items()))
        more = f" ({len(self.rows):,} of {num_rows:,} rows cannot be answered)" if num_rows > 1 else ""
        super().__init__(f"row {row}: {reason}{more}")
