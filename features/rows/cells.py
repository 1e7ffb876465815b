"""Cell form of row features: functions of one row's values in plain Python, equal to their expressions.

Values are int, float, bool, str or datetime (without a zone, or in UTC), None where missing.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache, partial
from operator import add, mul, sub
from typing import Any

import polars as pl

from features.definitions import Arithmetic, Bucket, Calendar, Cross, Elapsed, Function, Given, Hash, RowFeature, Text
from features.definitions.cells import BLANKS, TableNeededError
from features.definitions.duration import microseconds
from features.definitions.source import ColumnType
from features.rows.expressions import CIRCLE
from features.rows.texts import bucket_of, text_of

CellFunction = Callable[..., Any]
NUMBERS = ("int", "float", "bool")
_MICROSECOND = timedelta(microseconds=1)
_OPERATORS: dict[str, Callable[[float, float], float]] = {"+": add, "-": sub, "*": mul}
_PARTS: dict[str, Callable[[datetime], int]] = {
    "minute": lambda time: time.minute,
    "hour": lambda time: time.hour,
    "day_of_week": lambda time: time.isoweekday(),
    "day_of_month": lambda time: time.day,
    "day_of_year": lambda time: time.timetuple().tm_yday,
    "week": lambda time: time.isocalendar().week,
    "month": lambda time: time.month,
    "quarter": lambda time: (time.month + 2) // 3,
    "year": lambda time: time.year,
}


def row_cells(feature: RowFeature, types: Sequence[ColumnType]) -> tuple[CellFunction, ColumnType] | None:
    """The function of a feature, of its inputs in the order of `columns_read`, and the type of its values.

    Args:
        feature: The feature.
        types: Types of its inputs.

    Returns:
        None if only the expression can compute it, or refuses the types. The function may raise `TableNeededError`.
    """
    if isinstance(feature, Given):
        return _same, types[0]
    if isinstance(feature, Hash):
        return partial(_hashed, buckets=feature.buckets, salt=feature.salt), "int"
    if isinstance(feature, Cross):
        return _joined, "str"
    if isinstance(feature, Text):
        names = (*[""] * len(feature.plain), *(f"{name}: " for name in feature.named))
        return partial(_text, names=names, separator=feature.separator), "str"
    if isinstance(feature, Function) and feature.function == "is_missing":
        return _is_missing, "bool"
    if isinstance(feature, Calendar):
        return _calendar(feature, types)
    if isinstance(feature, Elapsed):
        per = float(microseconds(feature.per))
        return (partial(_elapsed, per=per), "float") if set(types) == {"datetime"} else None
    if not set(types) <= set(NUMBERS):
        return None
    if isinstance(feature, Arithmetic):
        return partial(_reduced, operator=_OPERATORS.get(feature.op, divided)), "float"
    if isinstance(feature, Bucket):
        return partial(bucket_cell, edges=tuple(map(float, feature.edges))), "int"
    return partial(_of_number, function=_FUNCTIONS[feature.function]), "float"


def bucket_cell(value: float | None, *, edges: Sequence[float]) -> int | None:
    """Number of edges at or below a value, see `expressions.bucket_number`.

    Args:
        value: The value.
        edges: Ascending.
    """
    return None if value is None else bisect_right(edges, value)


def divided(upper: float, lower: float) -> float:
    """A float divided by another, as IEEE 754 does it.

    Args:
        upper: The one.
        lower: The other.
    """
    if lower:
        return upper / lower
    return math.nan if upper == 0 or upper != upper else math.copysign(math.inf, upper) * math.copysign(1.0, lower)


def _same(value: Any) -> Any:
    return value


def _hashed(value: Any, *, buckets: int, salt: int) -> int | None:
    return None if value is None else bucket_of(text_of(value), buckets=buckets, salt=salt)


def _joined(*values: Any) -> str | None:
    return None if None in values else "|".join(map(text_of, values))


def _text(*values: Any, names: Sequence[str], separator: str) -> str | None:
    texts = ["" if value is None else text_of(value).strip(BLANKS) for value in values]
    return separator.join([name + text for name, text in zip(names, texts, strict=True) if text]) or None


def _is_missing(value: Any) -> bool:
    return value is None


def _calendar(feature: Calendar, types: Sequence[ColumnType]) -> tuple[CellFunction, ColumnType] | None:
    if types[0] != "datetime":
        return None
    part = _PARTS.get(feature.part, datetime.isoweekday)
    if feature.time_zone is not None:
        part = partial(_local_part, part=part, zone=feature.time_zone)
    if feature.part == "is_weekend":
        return partial(_is_weekend, weekday=part), "bool"
    if feature.encoding == "number":
        return partial(_of_time, part=part), "int"
    low, size = CIRCLE[feature.part]
    function = math.sin if feature.encoding == "sin" else math.cos
    return partial(_on_circle, part=part, low=low, step=2 * math.pi / size, function=function), "float"


def _is_weekend(time: datetime | None, *, weekday: Callable[[datetime], int]) -> bool | None:
    return None if time is None else weekday(time) > 5


def _local_part(time: datetime, *, part: Callable[[datetime], int], zone: str) -> int:
    if time.tzinfo is None:
        raise TableNeededError  # nobody knows what it is in the zone
    return part(_in_zone(time, zone))


@lru_cache(4096)
def _in_zone(time: datetime, zone: str) -> datetime:
    """Local time, by the time zone data of polars, which may be of another year than Python's."""
    local: datetime = pl.Series([time]).dt.convert_time_zone(zone).dt.replace_time_zone(None)[0]
    return local


def _of_time(time: datetime | None, *, part: Callable[[datetime], int]) -> int | None:
    return None if time is None else part(time)


def _on_circle(
    time: datetime | None, *, part: Callable[[datetime], int], low: int, step: float, function: Callable[[float], float]
) -> float | None:
    return None if time is None else function((part(time) - low) * step)


def _elapsed(since: datetime | None, until: datetime | None, *, per: float) -> float | None:
    if since is None or until is None:
        return None
    if since.tzinfo is not until.tzinfo:
        raise TableNeededError
    return float((until - since) // _MICROSECOND) / per


def _reduced(*values: float | None, operator: Callable[[float, float], float]) -> float | None:
    first, *others = values
    if first is None:
        return None
    result = float(first)
    for value in others:
        if value is None:
            return None
        result = operator(result, float(value))
    return result if math.isfinite(result) else None


def _of_number(value: float | None, *, function: Callable[[float], float | None]) -> float | None:
    if value is None or not math.isfinite(value):
        return None if value is None else _of_infinite(value, function)
    return function(float(value))


def _of_infinite(value: float, function: Callable[[float], float | None]) -> float | None:
    """Of what is not finite, the sign and the exponential of an infinite number are."""
    if math.isnan(value):
        return None
    if function is _exponential:
        return None if value > 0 else 0.0
    return math.copysign(1.0, value) if function is _sign else None


def _exponential(value: float) -> float | None:
    try:
        return math.exp(value)
    except OverflowError:
        return None


def _sign(value: float) -> float:
    return math.copysign(1.0, value) if value else value


def _logarithm(value: float) -> float | None:
    return math.log(value) if value > 0 else None


def _logarithm_of_more(value: float) -> float | None:
    return math.log1p(value) if value > -1 else None


def _root(value: float) -> float | None:
    return math.sqrt(value) if value >= 0 else None


_FUNCTIONS: dict[str, Callable[[float], float | None]] = {
    "log": _logarithm,
    "log1p": _logarithm_of_more,
    "sqrt": _root,
    "exp": _exponential,
    "abs": abs,
    "sign": _sign,
}
