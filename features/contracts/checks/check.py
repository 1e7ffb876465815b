"""Checks: rules compiled for the columns of a table into polars expressions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from features.contracts.rules.base_rule import Severity


@dataclass(frozen=True)
class Check:
    """A rule compiled for a table.

    Attributes:
        title: Title of the rule.
        severity: Consequence of a violation.
        reads: Columns that an example shows.
        measures: Aggregates of the pass over the table, by name.
        judge: Turns the values of the measures into the number of rows that break the rule and a message; an empty
            message if the table keeps it.
        mask: Rows that break the rule (bool, null counts as False); None for rules on the whole table.
        reason: What is wrong with such a row.
    """

    title: str
    severity: Severity
    reads: tuple[str, ...]
    measures: Mapping[str, pl.Expr]
    judge: Callable[[Mapping[str, Any]], tuple[int, str]]
    mask: pl.Expr | None = None
    reason: str = ""


def row_check(
    *,
    title: str,
    severity: Severity,
    reads: tuple[str, ...],
    mask: pl.Expr,
    reason: str,
    num_rows: pl.Expr | None = None,
) -> Check:
    """A check of single rows.

    Args:
        title: Title of the rule.
        severity: Consequence of a violation.
        reads: Columns that an example shows.
        mask: Rows that break the rule.
        reason: What is wrong with such a row.
        num_rows: Number of such rows, where it can be had cheaper than from the mask.
    """

    def judge(values: Mapping[str, Any]) -> tuple[int, str]:
        count = values["num_rows"] or 0
        return count, f"{count:,} {'row' if count == 1 else 'rows'} {reason}" if count else ""

    measures = {"num_rows": mask.sum() if num_rows is None else num_rows}
    return Check(title=title, severity=severity, reads=reads, measures=measures, judge=judge, mask=mask, reason=reason)
