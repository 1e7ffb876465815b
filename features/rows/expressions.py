"""Expressions of row features; they are missing where an input is, and where arithmetic is undefined."""

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add, mul, sub

import numpy as np
import polars as pl

from features.definitions import Arithmetic, Bucket, Calendar, Cross, Elapsed, Function, Given, Hash, RowFeature, Text
from features.definitions.cells import BLANKS
from features.definitions.columns_read import columns_read
from features.definitions.duration import microseconds
from features.rows.texts import bucket_of, map_values, texts_of

_OPERATORS = {"+": add, "-": sub, "*": mul}
CIRCLE = {
    "minute": (0, 60), "hour": (0, 24), "day_of_week": (1, 7), "day_of_month": (1, 31), "day_of_year": (1, 366),
    "week": (1, 53), "month": (1, 12), "quarter": (1, 4),
}  # fmt: skip
"""Part of a timestamp to its smallest value, and the number of values on the circle."""


def row_expression(
    feature: RowFeature, columns: Mapping[str, str], schema: Mapping[str, pl.DataType], *, place: str
) -> pl.Expr:
    """Expression of a feature.

    Args:
        feature: The feature.
        columns: Column that the feature reads -> column of the frame.
        schema: Types of the frame's columns.
        place: The feature, for messages.

    Raises:
        ValueError: A column is of a type that the feature cannot read.
    """
    names = [columns[name] for name in columns_read(feature)]
    inputs = [pl.col(name) for name in names]
    types = [schema[name] for name in names]
    if isinstance(feature, Given):
        return inputs[0]
    if isinstance(feature, Hash):
        return inputs[0].map_batches(lambda column: _hashed(column, feature), return_dtype=pl.Int64)
    if isinstance(feature, Cross):
        texts = [one.map_batches(texts_of, return_dtype=pl.String) for one in inputs]
        return pl.concat_str(texts, separator="|", ignore_nulls=False)
    if isinstance(feature, Text):
        return _text(feature, inputs)
    if isinstance(feature, Function) and feature.function == "is_missing":
        return inputs[0].is_null()
    if isinstance(feature, Calendar | Elapsed):
        _check_types(feature, types, pl.Datetime, "datetimes", place=place)
        return _of_times(feature, inputs, types, place=place)
    _check_types(feature, types, None, "numbers", place=place)
    numbers = [one.cast(pl.Float64) for one in inputs]
    if isinstance(feature, Arithmetic):
        return _finite(reduce(_OPERATORS.get(feature.op, quotient), numbers))
    if isinstance(feature, Bucket):
        return bucket_number(numbers[0], feature.edges)
    return _finite(_function(feature, numbers[0]))


def bucket_number(numbers: pl.Expr, edges: Sequence[float]) -> pl.Expr:
    """Number of edges at or below a value; null stays null.

    Args:
        numbers: Float64.
        edges: Ascending.
    """
    found = pl.lit(pl.Series(list(edges), dtype=pl.Float64)).search_sorted(numbers, side="right")
    return pl.when(numbers.is_not_null()).then(found.cast(pl.Int64))


def quotient(upper: pl.Expr, lower: pl.Expr) -> pl.Expr:
    """A number divided by another, rounded once; null where one is, or where the quotient is undefined.

    Many rows divided by one number polars multiplies with its reciprocal, one row it divides: answers would differ.

    Args:
        upper: Numbers.
        lower: Numbers, or one number.
    """

    def divide(columns: Sequence[pl.Series]) -> pl.Series:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            divided = columns[0].to_numpy() / columns[1].to_numpy()
        return pl.Series(columns[0].name, divided, dtype=pl.Float64, nan_to_null=True)

    return pl.map_batches([upper, lower], divide, return_dtype=pl.Float64)


def _hashed(column: pl.Series, feature: Hash) -> pl.Series:
    return map_values(
        texts_of(column), lambda text: bucket_of(text, buckets=feature.buckets, salt=feature.salt), pl.Int64
    )


def _text(feature: Text, inputs: Sequence[pl.Expr]) -> pl.Expr:
    names = (*[""] * len(feature.plain), *(f"{name}: " for name in feature.named))
    parts = []
    for name, one in zip(names, inputs, strict=True):
        text = one.map_batches(texts_of, return_dtype=pl.String).str.strip_chars(BLANKS)
        parts.append(pl.when(text != "").then(pl.lit(name) + text if name else text))
    joined = pl.concat_str(parts, separator=feature.separator, ignore_nulls=True)
    return pl.when(joined != "").then(joined)


def _finite(numbers: pl.Expr) -> pl.Expr:
    return pl.when(numbers.is_finite()).then(numbers)


def _function(feature: Function, number: pl.Expr) -> pl.Expr:
    if feature.function == "log":
        return pl.when(number > 0).then(number.log())
    if feature.function == "log1p":
        return pl.when(number > -1).then(number.log1p())
    if feature.function == "sqrt":
        return pl.when(number >= 0).then(number.sqrt())
    if feature.function == "exp":
        return number.exp()
    return number.abs() if feature.function == "abs" else number.sign()


def _of_times(feature: Calendar | Elapsed, inputs: list[pl.Expr], types: list[pl.DataType], *, place: str) -> pl.Expr:
    zones = [one.time_zone for one in types if isinstance(one, pl.Datetime)]
    if isinstance(feature, Elapsed):
        if zones[0] != zones[1]:
            raise ValueError(f"{place}: one of {list(columns_read(feature))} has a time zone, the other has none")
        return quotient((inputs[1] - inputs[0]).dt.total_microseconds(), pl.lit(microseconds(feature.per)))
    time = inputs[0]
    if feature.time_zone is not None:
        if zones[0] is None:
            raise ValueError(
                f"{place}.time_zone: the times have no zone, so nobody knows what they are in {feature.time_zone}; "
                "leave time_zone out, or give times with a zone"
            )
        time = time.dt.convert_time_zone(feature.time_zone)
    if feature.part == "is_weekend":
        return time.dt.weekday() > 5
    number = _calendar_part(feature.part, time).cast(pl.Int64)
    if feature.encoding == "number":
        return number
    low, size = CIRCLE[feature.part]
    angle = (number - low) * (2 * math.pi / size)
    return angle.sin() if feature.encoding == "sin" else angle.cos()


def _calendar_part(part: str, time: pl.Expr) -> pl.Expr:
    parts = {
        "minute": time.dt.minute,
        "hour": time.dt.hour,
        "day_of_week": time.dt.weekday,
        "day_of_month": time.dt.day,
        "day_of_year": time.dt.ordinal_day,
        "week": time.dt.week,
        "month": time.dt.month,
        "quarter": time.dt.quarter,
        "year": time.dt.year,
    }
    return parts[part]()


def _check_types(
    feature: RowFeature, types: list[pl.DataType], kind: type[pl.DataType] | None, wanted: str, *, place: str
) -> None:
    for name, dtype in zip(columns_read(feature), types, strict=True):
        fits = (dtype.is_numeric() or dtype == pl.Boolean) if kind is None else isinstance(dtype, kind)
        if not fits and dtype != pl.Null:
            raise ValueError(f"{place}: {name!r} is {dtype}; {wanted} are needed")
