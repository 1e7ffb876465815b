"""Draft of a contract: rules that a table suggests, with what was observed as comments."""

import math
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from features.contracts.files.strict_yaml import flow
from features.contracts.profile.table_profile import ColumnProfile, TableProfile
from features.contracts.rules.base_rule import BaseRule
from features.contracts.rules.row_rules import Allowed, Monotone, Pattern, Range, Unique
from features.contracts.rules.table_rules import Nulls, RowCount, UnknownShare

_MARGIN = 0.1
_LEAST_ROWS = 100
"""Rows below which uniqueness and patterns may be chance."""
_SMALL_VOCABULARY = 30
_FEW_NUMBERS = 12
_LONGEST_PATTERN = 40
_SHAPE_CLASSES = {"A": r"\p{Lu}", "a": r"\p{Ll}", "9": "[0-9]"}


def draft_contract(profile: TableProfile, *, name: str, table: str) -> str:
    """Writes a contract that the profiled table keeps.

    Args:
        profile: The profile.
        name: Name of the contract.
        table: Name of the table for the comment.

    Returns:
        YAML.
    """
    lines = [
        f"{_comment(f'Drafted from {table} ({profile.num_rows:,} rows).')} "
        "Comments say what was observed; edit what has to hold.",
        f"name: {flow(name)}",
        "extra_columns: warn",
        "columns:",
    ]
    for column, one in profile.columns.items():
        lines.append(f"  {flow(column)}: {flow(msgspec.to_builtins(one.declared))}  {_comment(_observed(one))}")
    lines += ["rules:", f"  - {_flow(RowCount())}  # {profile.num_rows:,} rows"]
    for column, one in profile.columns.items():
        lines += [f"  - {_flow(rule)}  {_comment(said)}" for rule, said in _column_rules(column, one, profile)]
    lines += _time_lines(profile)
    return "\n".join([*lines, ""])


def _column_rules(name: str, column: ColumnProfile, profile: TableProfile) -> Iterator[tuple[BaseRule, str]]:
    rows = profile.num_rows
    share = column.missing / rows if rows else 1.0
    if not share:
        yield Nulls(column=name), "none missing"
    elif share < 1:
        allowed = min(1.0, math.ceil((1.5 * share + 0.005) * 1000) / 1000)
        yield Nulls(column=name, max_share=allowed), f"{column.missing:,} missing ({share:.2%})"
    unique = _is_key(column, rows)
    if unique:
        yield Unique(columns=(name,)), f"{column.distinct:,} distinct values in {rows:,} rows"
    yield from _values_rules(name, column, rows=rows, unique=unique)


def _values_rules(name: str, column: ColumnProfile, *, rows: int, unique: bool) -> Iterator[tuple[BaseRule, str]]:
    kind = column.declared.type
    values = tuple(sorted(value for value, _ in column.values))
    if kind == "str" and values and rows >= 10 * len(values):
        if len(values) <= _SMALL_VOCABULARY:
            yield Allowed(column=name, values=values), _frequent(column)
        else:
            yield UnknownShare(column=name, values=values, max_share=0.05), f"{len(values)} values"
    elif kind == "str" and column.shape and rows >= _LEAST_ROWS and (regex := _regex(column.shape)):
        yield Pattern(column=name, regex=regex), f"every value, such as {column.shape!r} in its form"
    elif (
        kind == "int" and 0 < len(values) <= _FEW_NUMBERS and rows >= 20 * len(values) and values[-1] - values[0] < 100
    ):
        yield Allowed(column=name, values=values), _frequent(column)
    elif kind in ("int", "float") and column.min is not None and not column.infinite:
        low, high = _margins(column.min, column.max, whole=kind == "int")
        said = f"{_shown(column.min)} to {_shown(column.max)}, median {_shown(column.median)}"
        yield Range(column=name, min=low, max=None if unique else high), said


def _time_lines(profile: TableProfile) -> Iterator[str]:
    time = profile.time
    if time is None:
        return
    column = profile.columns[time.column]
    step = (
        "" if time.step is None else f", most often every {_duration(time.step)} ({time.step_share:.1%} of the steps)"
    )
    said = f"{_shown(column.min)} to {_shown(column.max)}{step}"
    if time.by:
        both = Unique(columns=(time.by, time.column))
        times = _comment(f"{column.distinct:,} times of {profile.columns[time.by].distinct:,} {time.by}")
        yield f"  - {_flow(both)}  {times}"
    if time.ordered:
        yield f"  - {_flow(Monotone(column=time.column, strict=time.by == '' and not column.missing))}  # {said}"
    elif time.by:
        yield f"  - {_flow(Monotone(column=time.column, by=(time.by,)))}  # {said}"
    else:
        yield f"  {_comment(time.column)} is not in order: {said}"
    yield f"  # - {{kind: freshness, column: {flow(time.column)}, max_age: 2d}}  # the newest is {_shown(column.max)}"


def _flow(rule: BaseRule) -> str:
    return flow(msgspec.to_builtins(rule))


def _is_key(column: ColumnProfile, rows: int) -> bool:
    """Whether distinct values are no chance: texts and times, or whole numbers without large holes."""
    if rows < _LEAST_ROWS or column.distinct < rows:
        return False
    kind = column.declared.type
    return kind in ("str", "date", "datetime") or (kind == "int" and column.max - column.min < 2 * rows)


def _regex(shape: str) -> str | None:
    """Regular expression of a shape; None for texts of small letters alone, whose length is chance."""
    if len(shape) > _LONGEST_PATTERN or not {"9", "A"} & set(shape):
        return None
    parts = []
    for run in re.finditer(r"(.)\1*", shape):
        one, count = run[1], len(run[0])
        own = _SHAPE_CLASSES.get(one, re.escape(one))
        parts.append(own if count == 1 else f"{own}{{{count}}}")
    return "".join(parts)


def _margins(low: float, high: float, *, whole: bool) -> tuple[float, float]:
    """Bounds a tenth of the span outside, on the same side of zero as the values."""
    margin = _MARGIN * ((high - low) or abs(high) or 1.0)
    bounds = [low - margin, high + margin]
    if low >= 0:
        bounds[0] = max(0.0, bounds[0])
    if high <= 0:
        bounds[1] = min(0.0, bounds[1])
    if whole:
        return math.floor(bounds[0]), math.ceil(bounds[1])
    return min(_rounded(bounds[0], math.floor), low), max(_rounded(bounds[1], math.ceil), high)


def _rounded(value: float, outward: Any) -> float:
    """Three significant digits, rounded outward."""
    if not value:
        return 0.0
    digits = 2 - math.floor(math.log10(abs(value)))
    scale = 10.0 ** abs(digits)
    scaled = round(value * scale if digits >= 0 else value / scale, 6)  # 1.1 * 100 is not 110
    return float(outward(scaled) / scale if digits >= 0 else outward(scaled) * scale)


def _observed(column: ColumnProfile) -> str:
    if column.declared.type == "any":
        return "no value" if not column.distinct else "nested"
    if column.min is None:
        return f"{column.distinct:,} distinct"
    infinite = f", {column.infinite:,} infinite" if column.infinite else ""
    return f"{column.distinct:,} distinct, {_shown(column.min)} to {_shown(column.max)}{infinite}"


def _frequent(column: ColumnProfile) -> str:
    total = sum(count for _, count in column.values)
    shown = ", ".join(f"{value} {count / total:.0%}" for value, count in column.values[:3])
    return shown + (", ..." if len(column.values) > 3 else "")


def _comment(text: str) -> str:
    """A comment of one line, with escapes for characters that YAML does not allow, not even there."""
    line = " ".join(text.split())
    return "# " + "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in line)


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds").removesuffix(" 00:00:00")
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1e5 else f"{value:,.5g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"
