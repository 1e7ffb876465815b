"""Types of columns: what a table holds becomes what the definitions declare, or is refused by row and value."""

import math

import polars as pl

from features.definitions import Column
from features.sources.notes import Notes
from features.sources.times import read_times

_NUMBERS = {"int": pl.Int64, "float": pl.Float64}
_TRUTH = {
    "true": True,
    "True": True,
    "TRUE": True,
    "1": True,
    "false": False,
    "False": False,
    "FALSE": False,
    "0": False,
}


def as_declared(column: pl.Series, declared: Column, *, place: str, notes: Notes) -> pl.Series:
    """Converts a column to its declared type; NaN becomes null.

    Args:
        column: The column as the table holds it.
        declared: Its declaration.
        place: The column, for messages.
        notes: Takes counts of oddities.

    Returns:
        Int64, Float64, Boolean, String, or Datetime in microseconds.

    Raises:
        ValueError: A value is not of the type.
    """
    kind = declared.type
    if kind == "datetime":
        return read_times(column, place=place, time_format=declared.format, time_zone=None, notes=notes)
    if isinstance(column.dtype, pl.Categorical | pl.Enum):
        column = column.cast(pl.String)
    if column.dtype.is_decimal():
        column = column.cast(pl.Float64)
    if column.dtype.is_float() and math.isnan(column.sum()):  # a sum is cheaper than a pass that finds nothing
        column = column.fill_nan(None)
    if column.dtype == pl.Null:
        return column.cast({"bool": pl.Boolean, "str": pl.String, **_NUMBERS}[kind])
    if kind == "str":
        if column.dtype != pl.String and not column.dtype.is_integer():
            raise _wrong_type(column, kind, place)
        return column.cast(pl.String)
    if column.dtype == pl.String:
        return _from_text(column, kind, place=place)
    if kind == "bool":
        return _as_bool(column, place=place)
    if not column.dtype.is_numeric() and column.dtype != pl.Boolean:
        raise _wrong_type(column, kind, place)
    if kind == "int":
        whole = whole_numbers(column)
        _check(column, whole.is_not_null(), kind, place=place)
        return whole
    return column.cast(_NUMBERS[kind])


def whole_numbers(column: pl.Series) -> pl.Series:
    """Whole numbers of texts and numbers, Int64, such as 17850 and 17850.0; null for all other values.

    Args:
        column: Texts without blanks around them, or numbers.
    """
    whole = column.cast(pl.Int64, strict=False)
    if not column.dtype.is_float() and whole.null_count() in (0, column.null_count()):
        return whole
    numbers = column.cast(pl.Float64, strict=False)
    numbers = numbers.set((numbers != numbers.round()).fill_null(value=False), None)
    rounded = numbers.cast(pl.Int64, strict=False)
    return whole.fill_null(rounded) if column.dtype == pl.String else rounded


def _from_text(column: pl.Series, kind: str, *, place: str) -> pl.Series:
    texts = column.str.strip_chars()
    texts = texts.set(texts == "", None)
    if kind == "bool":
        truth = texts.replace_strict(_TRUTH, default=None, return_dtype=pl.Boolean)
        _check(texts, truth.is_not_null(), kind, place=place)
        return truth
    if kind == "int":
        whole = whole_numbers(texts)
        _check(texts, whole.is_not_null(), kind, place=place)
        return whole
    numbers = texts.cast(pl.Float64, strict=False)
    _check(texts, numbers.is_not_null(), kind, place=place)
    return numbers.fill_nan(None)


def _as_bool(column: pl.Series, *, place: str) -> pl.Series:
    if column.dtype == pl.Boolean:
        return column
    if not column.dtype.is_numeric():
        raise _wrong_type(column, "bool", place)
    _check(column, (column == 0) | (column == 1), "bool", place=place)
    return column.cast(pl.Boolean)


def _check(column: pl.Series, right: pl.Series, kind: str, *, place: str) -> None:
    wrong = ~right.fill_null(value=False) & column.is_not_null()
    first = wrong.arg_max()
    if first is None or not wrong[first]:
        return
    more = f" and {int(wrong.sum()) - 1:,} more rows like it" if wrong.sum() > 1 else ""
    raise ValueError(f"{place} holds {column[first]!r} in row {first + 1}{more}; its type is declared as {kind}")


def _wrong_type(column: pl.Series, kind: str, place: str) -> ValueError:
    return ValueError(f"{place} is {column.dtype}; its type is declared as {kind}")
