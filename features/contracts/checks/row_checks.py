"""Checks of rules on rows, in polars expressions."""

from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from typing import Any

import polars as pl

from features.contracts.checks.check import Check, row_check
from features.contracts.checks.membership import unknown_values
from features.contracts.checks.table_columns import RuleMismatchError, TableColumns, declare_type
from features.contracts.rules.base_rule import BaseRule, Scalar
from features.contracts.rules.column_types import is_text, type_name
from features.contracts.rules.row_rules import Allowed, Compare, Monotone, Pattern, Range, Unique

_SHOWN_VALUES = 8
_ORDERED = ("int", "float", "date", "datetime", "time", "duration")


def compile_row_rule(rule: BaseRule, columns: TableColumns) -> Check:
    """Compiles a rule on rows for the columns of a table.

    Args:
        rule: The rule; all of its columns exist.
        columns: Columns of the table.

    Raises:
        RuleMismatchError: The rule cannot be applied to a column of this type.
    """
    match rule:
        case Range():
            return _range(rule, columns)
        case Unique():
            return _unique(rule, columns)
        case Allowed():
            return _allowed(rule, columns)
        case Pattern():
            return _pattern(rule, columns)
        case Monotone():
            return _monotone(rule, columns)
        case Compare():
            return _compare(rule, columns)
    raise NotImplementedError(type(rule).__name__)


def _range(rule: Range, columns: TableColumns) -> Check:
    dtype, value = columns.dtype(rule.column), columns.expression(rule.column)
    low, high = (_bound(bound, dtype, rule) for bound in (rule.min, rule.max))
    outside = []
    if low is not None:
        outside.append(value <= low if rule.min_excluded else value < low)
    if high is not None:
        outside.append(value >= high if rule.max_excluded else value > high)
    if dtype.is_float() and len(outside) == 1:  # two bounds leave infinite values out anyway
        outside.append(value.is_infinite())
    mask = outside[0]
    for one in outside[1:]:
        mask |= one
    return _row_check(rule, mask, f"not {_interval(rule)}")


def _unique(rule: Unique, columns: TableColumns) -> Check:
    values = [columns.expression(name) for name in rule.columns]
    present = ~pl.any_horizontal([value.is_null() for value in values])
    mask = ~pl.struct(values).is_first_distinct() & present
    repeats = None
    if len(values) == 1:  # a third of the time of the mask
        empty = values[0].null_count()
        repeats = pl.len() - empty - (values[0].n_unique() - (empty > 0).cast(pl.Int64))
    return _row_check(rule, mask, f"repeating the {', '.join(rule.columns)} of an earlier row", num_rows=repeats)


def _allowed(rule: Allowed, columns: TableColumns) -> Check:
    return _row_check(rule, unknown_values(rule.column, rule.values, columns), f"not one of {_listed(rule.values)}")


def _pattern(rule: Pattern, columns: TableColumns) -> Check:
    if not is_text(columns.dtype(rule.column)):
        raise RuleMismatchError(f"column {rule.column!r} holds {columns.dtype(rule.column)}, a pattern needs text")
    mask = ~columns.expression(rule.column).str.contains(rule.whole_cell)
    return _row_check(rule, mask, f"not matching {rule.regex}")


def _monotone(rule: Monotone, columns: TableColumns) -> Check:
    _ordered(rule.column, columns)
    value = columns.expression(rule.column)
    before = value.cum_max().forward_fill().shift(1)
    if rule.by:
        before = before.over([columns.expression(name) for name in rule.by])
    mask = value <= before if rule.strict else value < before
    within = f" of the same {', '.join(rule.by)}" if rule.by else ""
    relation = "not above" if rule.strict else "below"
    return _row_check(rule, mask, f"{relation} an earlier row{within}")


def _compare(rule: Compare, columns: TableColumns) -> Check:
    left, right = _comparable(rule, columns)
    operations: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
        "<": pl.Expr.__ge__, "<=": pl.Expr.__gt__, "==": pl.Expr.__ne__,
        "!=": pl.Expr.__eq__, ">=": pl.Expr.__lt__, ">": pl.Expr.__le__,
    }  # fmt: skip
    return _row_check(rule, operations[rule.operator](left, right), f"without {rule.left} {rule.operator} {rule.right}")


def _row_check(rule: BaseRule, mask: pl.Expr, reason: str, *, num_rows: pl.Expr | None = None) -> Check:
    return row_check(
        title=rule.title, severity=rule.severity, reads=rule.columns_read, mask=mask, reason=reason, num_rows=num_rows
    )


def _listed(values: tuple[Scalar, ...]) -> str:
    more = f" and {len(values) - _SHOWN_VALUES} more" if len(values) > _SHOWN_VALUES else ""
    return f"{', '.join(map(repr, values[:_SHOWN_VALUES]))}{more}"


def _interval(rule: Range) -> str:
    if rule.min is None:
        return f"{'below' if rule.max_excluded else 'at most'} {rule.max}"
    if rule.max is None:
        return f"{'above' if rule.min_excluded else 'at least'} {rule.min}"
    ends = [name for name, excluded in (("min", rule.min_excluded), ("max", rule.max_excluded)) if excluded]
    excluded = f" ({' and '.join(ends)} excluded)" if ends else ""
    return f"from {rule.min} to {rule.max}{excluded}"


def _bound(bound: Scalar | None, dtype: pl.DataType, rule: Range) -> Any:
    """A bound as a literal of the column's type."""
    if bound is None:
        return None
    kind = type_name(dtype)
    if isinstance(bound, str):
        parse: Mapping[str, Callable[[str], date | time]] = {
            "date": date.fromisoformat, "datetime": datetime.fromisoformat, "time": time.fromisoformat,
        }  # fmt: skip
        if kind not in parse:
            need = f"the bound {bound!r} is for dates and timestamps{declare_type(dtype)}"
            raise RuleMismatchError(f"column {rule.column!r} holds {dtype}, {need}")
        try:
            moment = parse.get(kind, datetime.fromisoformat)(bound)
        except ValueError as error:
            raise RuleMismatchError(f"the bound {bound!r} is not a {kind} in ISO 8601") from error
        zone = getattr(dtype, "time_zone", None)
        if isinstance(moment, datetime) and (moment.tzinfo is None) != (zone is None):
            advice = f"state its offset, column {rule.column!r} is in {zone}" if zone else "leave its offset out"
            raise RuleMismatchError(f"the bound {bound!r}: {advice}")
        return pl.lit(moment)
    if kind not in ("int", "float"):
        raise RuleMismatchError(
            f"column {rule.column!r} holds {dtype}, the bound {bound} is for numbers{declare_type(dtype)}"
        )
    return bound


def _ordered(column: str, columns: TableColumns) -> None:
    dtype = columns.dtype(column)
    if type_name(dtype) not in _ORDERED:
        raise RuleMismatchError(f"column {column!r} holds {dtype}, numbers or times are needed{declare_type(dtype)}")


def _comparable(rule: Compare, columns: TableColumns) -> tuple[pl.Expr, pl.Expr]:
    dtypes = [columns.dtype(name) for name in (rule.left, rule.right)]
    kinds = ["number" if type_name(one) in ("int", "float") else type_name(one) for one in dtypes]
    left, right = (columns.expression(name) for name in (rule.left, rule.right))
    zones = [getattr(one, "time_zone", None) for one in dtypes]
    if kinds[0] != kinds[1] or "any" in kinds:
        raise RuleMismatchError(f"{rule.left!r} holds {dtypes[0]}, {rule.right!r} {dtypes[1]}: they cannot be compared")
    if kinds[0] == "datetime" and (zones[0] is None) != (zones[1] is None):
        raise RuleMismatchError(
            f"{rule.left!r} holds {dtypes[0]}, {rule.right!r} {dtypes[1]}: one states a time zone, the other none"
        )
    if zones[0] != zones[1]:
        return left.dt.convert_time_zone("UTC"), right.dt.convert_time_zone("UTC")
    return left, right
