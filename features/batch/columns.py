"""Event columns: values as arrays of numbers, for computations over ranges of events."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from features.definitions import Where


@dataclass(frozen=True, kw_only=True)
class Values:
    """A column of events.

    Attributes:
        column: The column (n,).
    """

    column: pl.Series

    @cached_property
    def is_complete(self) -> bool:
        """Whether no value is null."""
        return not self.column.null_count()

    @cached_property
    def valid(self) -> np.ndarray:
        """Whether a value is there, bool (n,)."""
        return self.column.is_not_null().to_numpy()

    @cached_property
    def numbers(self) -> np.ndarray:
        """The values as numbers in the same order, of text its rank from 1; 0 where null, (n,)."""
        if self.column.dtype == pl.String:
            numbers = self.column.rank("dense").cast(pl.Int64)
        elif self.column.dtype == pl.Boolean:
            numbers = self.column.cast(pl.Int64)
        else:
            numbers = self.column.to_physical()
        return numbers.to_numpy() if self.is_complete else numbers.fill_null(0).to_numpy()


def meets(column: pl.Series, where: Where, *, place: str) -> np.ndarray:
    """Which events meet a condition, bool (n,).

    Args:
        column: Values of the condition's column.
        where: The condition.
        place: The feature, for messages.

    Raises:
        ValueError: The value cannot be compared with the column.
    """
    value = where.value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = (
        (column.dtype.is_numeric() and is_number)
        or (column.dtype == pl.Boolean and isinstance(value, bool))
        or (column.dtype == pl.String and isinstance(value, str))
    )
    other: object = value
    if isinstance(column.dtype, pl.Datetime) and isinstance(value, str):
        parsed = pl.Series([value]).str.to_datetime(time_unit="us", strict=False)
        fits, other = parsed[0] is not None, parsed.dt.replace_time_zone(column.dtype.time_zone)[0]
    if not fits:
        raise ValueError(
            f"{place}.where.value: {value!r} cannot be compared with {where.column!r}, which is {column.dtype}"
        )
    compare = {
        "==": column.__eq__, "!=": column.__ne__, "<": column.__lt__,
        "<=": column.__le__, ">": column.__gt__, ">=": column.__ge__,
    }  # fmt: skip
    return compare[where.op](other).fill_null(value=False).to_numpy()  # type: ignore[no-any-return]
