"""Reasons why no data could be frozen; a cycle ends with them."""

from lightning_app.errors import UsageError


class FreezeError(UsageError):
    """The data cannot be frozen as the policy asks."""


class TooFewRowsError(FreezeError):
    """There are fewer rows than the policy asks for; later there may be enough.

    Args:
        message: Which, how many, and how many are needed.
        rows: Rows that there are.
        needed: Rows that are needed.

    Attributes:
        rows: Rows that there are.
        needed: Rows that are needed.
    """

    def __init__(self, message: str, *, rows: int, needed: int) -> None:
        super().__init__(message)
        self.rows = rows
        self.needed = needed


class BrokenContractError(FreezeError):
    """The rows violate the data contract: nothing is trained on them."""
