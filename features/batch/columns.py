"""Values of events as numbers that ranges are computed over, and back."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from features.definitions import Where


@dataclass(frozen=True, kw_only=True)
class Values:
    """A column of events as numbers.

    Attributes:
        numbers: The numbers, in the order of the values, (n,); 0 where null.
        valid: Whether a value is there, bool (n,).
        column: The column itself.
    """

    numbers: np.ndarray
    valid: np.ndarray
    column: pl.Series


def values_of(column: pl.Series) -> Values:
    """Numbers of a column: its own, or for text ranks.

    Args:
        column: Values of events.
    """
    valid = column.is_not_null().to_numpy()
    if column.dtype == pl.String:
        numbers = column.rank("dense").cast(pl.Int64)
    else:
        numbers = column.to_physical()
        numbers = numbers.cast(pl.Int64) if column.dtype == pl.Boolean else numbers
    return Values(numbers=numbers.fill_null(0).to_numpy(), valid=valid, column=column)


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
