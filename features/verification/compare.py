"""Comparison of two computations of the same features, value by value and reason by reason."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from features.batch.reasons import Reason


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How two columns of a feature differ.

    Attributes:
        count: Rows that differ.
        largest: Largest difference of numbers, relative to the larger of the two.
        row: First row that differs; None if none does.
    """

    count: int
    largest: float
    row: int | None


def compare(left: pl.DataFrame, right: pl.DataFrame, name: str, *, tolerance: float) -> Difference:
    """Compares a feature in two frames of equal rows.

    The reasons `never` and `not_yet_available` count as equal: who has not got an event yet does not know of it.

    Args:
        left: `name` and `name__reason`.
        right: The same.
        name: Full name of the feature.
        tolerance: Difference, relative to the larger value, up to which numbers are equal.
    """
    one, other = left[name], right[name]
    wrong = (one.is_null() != other.is_null()).to_numpy()
    largest = 0.0
    if one.dtype.is_numeric():
        a, b = (series.cast(pl.Float64).fill_null(0.0).to_numpy() for series in (one, other))
        size = np.maximum(np.abs(a), np.abs(b))
        with np.errstate(invalid="ignore"):
            same = (a == b) | (np.isnan(a) & np.isnan(b))
            distance = np.where(same | wrong, 0.0, np.abs(a - b) / np.where(size > 0, size, 1.0))
        distance = np.where(np.isnan(distance), np.inf, distance)
        largest = float(distance.max(initial=0.0))
        wrong |= distance > tolerance
    else:
        wrong |= one.ne_missing(other).to_numpy()
    wrong |= _seen_online(left[f"{name}__reason"]) != _seen_online(right[f"{name}__reason"])
    rows = np.flatnonzero(wrong)
    return Difference(count=len(rows), largest=largest, row=int(rows[0]) if len(rows) else None)


def _seen_online(reasons: pl.Series) -> np.ndarray:
    codes = reasons.to_numpy()
    return np.where(codes == Reason.NOT_YET_AVAILABLE, Reason.NEVER, codes)
