"""Checks of rules on a table as a whole, in polars expressions."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from features.contracts.checks.check import Check, row_check
from features.contracts.checks.membership import unknown_values
from features.contracts.checks.table_columns import RuleMismatchError, TableColumns
from features.contracts.rules.base_rule import BaseRule
from features.contracts.rules.column_types import type_name
from features.contracts.rules.table_rules import Freshness, Nulls, RowCount, UnknownShare
from features.definitions.duration import microseconds


def compile_table_rule(rule: BaseRule, columns: TableColumns, now: datetime) -> Check:
    """Compiles a rule on a table for its columns.

    Args:
        rule: The rule; all of its columns exist.
        columns: Columns of the table.
        now: Time that ages are measured at, with a time zone.

    Raises:
        RuleMismatchError: The rule cannot be applied to a column of this type.
    """
    match rule:
        case Nulls():
            return _nulls(rule, columns)
        case UnknownShare():
            return _unknown_share(rule, columns)
        case Freshness():
            return _freshness(rule, columns, now)
        case RowCount():
            return _row_count(rule)
    raise NotImplementedError(type(rule).__name__)


def _nulls(rule: Nulls, columns: TableColumns) -> Check:
    missing = columns.missing(rule.column)
    if rule.marks_rows:
        reason = f"without a value of {rule.column}"
        return row_check(title=rule.title, severity=rule.severity, reads=rule.columns_read, mask=missing, reason=reason)

    def judge(values: Mapping[str, Any]) -> tuple[int, str]:
        count, total = values["missing"], values["total"]
        share = count / total if total else 0.0
        return _share_broken(share, rule.max_share, f"{count:,} of {total:,} values are missing")

    return _table_check(rule, {"missing": missing.sum(), "total": pl.len()}, judge)


def _unknown_share(rule: UnknownShare, columns: TableColumns) -> Check:
    unknown = unknown_values(rule.column, rule.values, columns)
    value = columns.expression(rule.column)

    def judge(values: Mapping[str, Any]) -> tuple[int, str]:
        count, total = values["unknown"], values["total"]
        share = count / total if total else 0.0
        text = f"{count:,} of {total:,} values are not in the vocabulary (such as {values['first']!r})"
        return _share_broken(share, rule.max_share, text)

    measures = {"unknown": unknown.sum(), "total": value.count(), "first": value.filter(unknown).first()}
    return _table_check(rule, measures, judge)


def _freshness(rule: Freshness, columns: TableColumns, now: datetime) -> Check:
    dtype, value = columns.dtype(rule.column), columns.expression(rule.column)
    if type_name(dtype) not in ("date", "datetime"):
        raise RuleMismatchError(f"column {rule.column!r} holds {dtype}, freshness needs dates or timestamps")
    zone = ZoneInfo(getattr(dtype, "time_zone", None) or rule.time_zone)
    local = now.astimezone(zone)
    latest = local if getattr(dtype, "time_zone", None) else local.replace(tzinfo=None)
    limit = pl.lit(latest.date() if dtype == pl.Date else latest)
    largest = timedelta(microseconds=microseconds(rule.max_age))

    def judge(values: Mapping[str, Any]) -> tuple[int, str]:
        newest = values["newest"]
        if newest is None:
            return 0, f"no row has a {rule.column} up to now ({local:%Y-%m-%d %H:%M %Z})"
        moment = newest if isinstance(newest, datetime) else datetime.combine(newest, time())
        age = now - (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
        return 0, f"the newest row is of {newest}, {_age(age)} old; {rule.max_age} is allowed" if age > largest else ""

    newest = value.filter(value <= limit).max()
    return _table_check(rule, {"newest": newest}, judge)


def _row_count(rule: RowCount) -> Check:
    def judge(values: Mapping[str, Any]) -> tuple[int, str]:
        count = values["rows"]
        allowed = f"at least {rule.min:,}" if rule.max is None else f"{rule.min:,} to {rule.max:,}"
        too_many = rule.max is not None and count > rule.max
        return 0, f"{count:,} rows; {allowed} are allowed" if too_many or count < rule.min else ""

    return _table_check(rule, {"rows": pl.len()}, judge)


def _table_check(
    rule: BaseRule, measures: Mapping[str, pl.Expr], judge: Callable[[Mapping[str, Any]], tuple[int, str]]
) -> Check:
    return Check(title=rule.title, severity=rule.severity, reads=rule.columns_read, measures=measures, judge=judge)


def _share_broken(share: float, allowed: float, text: str) -> tuple[int, str]:
    return 0, f"{text}, {share:.2%}; {allowed:.2%} are allowed" if share > allowed else ""


def _age(age: timedelta) -> str:
    hours = age.total_seconds() / 3600
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"
