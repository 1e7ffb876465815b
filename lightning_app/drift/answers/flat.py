"""Flat values of a column: numbers in lists of lists become points, each with the row that it stands in."""

import numpy as np
import polars as pl
from msgspec import Struct
from numpy.typing import NDArray

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


class Flat(Struct, kw_only=True):
    """Values without nesting.

    Attributes:
        values: The values, in the order of rows.
        rows: Row of each.
        counts: Values of each row; 0 where the row holds none.
    """

    values: pl.Series
    rows: Integers
    counts: Integers


def flat(column: pl.Series, *, keep: int = 0) -> Flat:
    """Values of a column without nesting.

    Args:
        column: A column; values, or lists of any depth.
        keep: Levels of lists to keep: 1 keeps innermost lists whole.
    """
    rows: Integers = np.arange(len(column), dtype=np.int64)
    values = column
    while _depth(values.dtype) > keep:
        if isinstance(values.dtype, pl.Array):
            values = values.arr.to_list()
        lengths = values.list.len().fill_null(0).to_numpy().astype(np.int64)
        if (lengths == 0).any():
            values, rows, lengths = values.filter(pl.Series(lengths > 0)), rows[lengths > 0], lengths[lengths > 0]
        values, rows = values.explode(), np.repeat(rows, lengths)
        if not len(rows):
            values = values.clear()
    return Flat(values=values, rows=rows, counts=np.bincount(rows, minlength=len(column)).astype(np.int64))


def lists_of(column: pl.Series, size: int) -> tuple[Array, Booleans]:
    """Lists of numbers of one size.

    Args:
        column: Lists of numbers.
        size: Numbers of each.

    Returns:
        numbers: float64 (N, size); nan where the list has another size, is null, or holds nulls.
        is_whole: Of which rows all numbers are there, (N,).
    """
    if isinstance(column.dtype, pl.Array):
        column = column.arr.to_list()
    fits = column.list.len().fill_null(0).to_numpy() == size
    inner = column if fits.all() else column.filter(pl.Series(fits))
    numbers = np.full((len(column), size), np.nan)
    if fits.any():
        numbers[fits] = numbers_of(inner.explode()).reshape(-1, size)
    return numbers, np.isfinite(numbers).all(axis=1)


def numbers_of(values: pl.Series) -> Array:
    """Values as numbers; nan for nulls and what is none.

    Args:
        values: A column without lists.
    """
    if not (values.dtype.is_numeric() or values.dtype in (pl.String, pl.Boolean, pl.Null)):
        return np.full(len(values), np.nan)
    return values.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()


def _depth(kind: pl.DataType) -> int:
    depth = 0
    while isinstance(kind, pl.List | pl.Array):
        kind, depth = kind.inner, depth + 1  # type: ignore[assignment]
    return depth
