"""Evaluation of a contract: one pass over a table for all rules, and the rows that break them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from features.contracts.checks.check import Check
from features.contracts.checks.column_checks import compile_columns
from features.contracts.checks.row_checks import compile_row_rule
from features.contracts.checks.table_checks import compile_table_rule
from features.contracts.checks.table_columns import RuleMismatchError, TableColumns
from features.contracts.rules.base_rule import Severity
from features.contracts.rules.row_rules import Monotone
from features.contracts.rules.table_rules import Freshness, Nulls, RowCount, UnknownShare
from features.contracts.verdict import RuleResult, Verdict

if TYPE_CHECKING:
    from features.contracts.contract import Contract
    from features.contracts.rules import Rule

_OF_TABLES = (Nulls, UnknownShare, Freshness, RowCount)


class Split(NamedTuple):
    """A table without its bad rows, and these.

    Attributes:
        good: The rows that stay.
        quarantined: Rows that are moved aside, with `row` (counted from 0) and `reasons`.
        verdict: Results of all rules on the whole table.
    """

    good: pl.DataFrame
    quarantined: pl.DataFrame
    verdict: Verdict


@dataclass(frozen=True)
class _Plan:
    """A contract compiled for a table: checks, and results that are known from its columns alone."""

    columns: TableColumns
    steps: tuple[Check | RuleResult, ...]


def check_table(contract: "Contract", table: pl.DataFrame | pl.LazyFrame, *, now: datetime | None) -> Verdict:
    """Checks a table; see `Contract.check`."""
    return _evaluate(contract, table, _compiled(contract, table, now))


def bad_rows(
    contract: "Contract", table: pl.DataFrame | pl.LazyFrame, *, severities: Sequence[Severity], now: datetime | None
) -> tuple[Verdict, pl.DataFrame]:
    """Checks a table and lists its bad rows; see `Contract.bad_rows`."""
    plan = _compiled(contract, table, now)
    verdict = _evaluate(contract, table, plan)
    broken = {result.rule for result in verdict.broken(*severities, "quarantine") if result.num_rows}
    checks = [step for step in plan.steps if isinstance(step, Check) and step.title in broken and step.mask is not None]
    masks = _masks(table, plan, checks)
    moved = [check.title for check in checks if check.severity == "quarantine"]
    num_moved = int(masks.select(pl.any_horizontal(pl.lit(value=False), *moved).sum()).item())
    share = num_moved / verdict.num_rows if verdict.num_rows else 0.0
    if share > contract.max_quarantined:
        message = (
            f"{num_moved:,} of {verdict.num_rows:,} rows would be moved aside, {share:.2%}; "
            f"{contract.max_quarantined:.2%} are allowed"
        )
        refused = RuleResult(rule="max_quarantined", severity="error", passed=False, message=message)
        verdict = Verdict(contract=verdict.contract, num_rows=verdict.num_rows, results=(*verdict.results, refused))
    return verdict, _listed(masks, [check for check in checks if check.severity in severities])


def split_table(
    contract: "Contract", table: pl.DataFrame, *, severities: Sequence[Severity], now: datetime | None
) -> Split:
    """Moves bad rows aside; see `Contract.split`."""
    verdict, rows = bad_rows(contract, table, severities=severities, now=now)
    return Split(without_rows(table, rows), with_reasons(table.lazy(), rows), verdict)


def without_rows(table: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """A table without its bad rows.

    Args:
        table: The table.
        rows: Column `row`, see `Contract.bad_rows`.
    """
    if rows.is_empty():
        return table
    is_bad = pl.int_range(len(table), eager=True).is_in(rows["row"].implode())
    return table.filter(~is_bad)


def with_reasons(table: pl.LazyFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Bad rows with their number and reasons, as a quarantine table.

    Args:
        table: The table; read as a stream.
        rows: Columns `row` and `reasons`, see `Contract.bad_rows`.

    Returns:
        `row`, `reasons`, then the columns of the table; the first two with `_` at their end if the table has such ones.
    """
    names = table.collect_schema().names()
    row, reasons = (_beside(name, names) for name in ("row", "reasons"))
    listed = rows.rename({"row": row, "reasons": reasons}).lazy()
    indexed = table.with_row_index(row).with_columns(pl.col(row).cast(pl.Int64))
    joined = indexed.join(listed, on=row, how="inner").select(row, reasons, *names).sort(row)
    return joined.collect(engine="streaming")


def _compiled(contract: "Contract", table: pl.DataFrame | pl.LazyFrame, now: datetime | None) -> _Plan:
    schema = table.collect_schema()
    columns = TableColumns(schema, contract.columns)
    moment = datetime.now(UTC) if now is None else now if now.tzinfo else now.replace(tzinfo=UTC)
    steps = compile_columns(contract, columns)
    steps += [_compile(rule, contract, columns, moment) for rule in contract.rules]
    return _Plan(columns, tuple(steps))


def _compile(rule: "Rule", contract: "Contract", columns: TableColumns, now: datetime) -> Check | RuleResult:
    absent = [name for name in rule.columns_read if name not in columns.schema]
    if absent:
        optional = all(name in contract.columns and not contract.columns[name].required for name in absent)
        message = f"not checked: there is no column {absent[0]!r}"
        return RuleResult(rule=rule.title, severity=rule.severity, passed=optional, message=message)
    values = (rule.column,) if isinstance(rule, Monotone) else rule.columns_read
    if not isinstance(rule, Nulls | Freshness) and any(columns.dtype(name) == pl.Null for name in values):
        return RuleResult(rule=rule.title, severity=rule.severity, passed=True)  # no value at all
    try:
        if isinstance(rule, _OF_TABLES):
            return compile_table_rule(rule, columns, now)
        return compile_row_rule(rule, columns)
    except RuleMismatchError as error:
        return RuleResult(rule=rule.title, severity="error", passed=False, message=f"cannot be checked: {error}")


def _evaluate(contract: "Contract", table: pl.DataFrame | pl.LazyFrame, plan: _Plan) -> Verdict:
    measures = {
        f"{index}:{name}": expression
        for index, step in enumerate(plan.steps)
        if isinstance(step, Check)
        for name, expression in step.measures.items()
    }
    measured = _select(table, plan, {"rows": pl.len(), **measures})
    outcomes: dict[int, tuple[int, str]] = {}
    for index, step in enumerate(plan.steps):
        if isinstance(step, Check):
            outcomes[index] = step.judge({name: measured[f"{index}:{name}"] for name in step.measures})
    examples = _examples(contract, table, plan, [index for index, (_, message) in outcomes.items() if message])
    results = []
    for index, step in enumerate(plan.steps):
        if isinstance(step, RuleResult):
            results.append(step)
            continue
        num_rows, message = outcomes[index]
        row, example = examples.get(index, (None, {}))
        results.append(
            RuleResult(
                rule=step.title,
                severity=step.severity,
                passed=not message,
                num_rows=num_rows,
                message=message,
                row=row,
                example=example,
            )
        )
    return Verdict(contract=contract.name, num_rows=measured["rows"], results=tuple(results))


def _examples(
    contract: "Contract", table: pl.DataFrame | pl.LazyFrame, plan: _Plan, broken: Sequence[int]
) -> dict[int, tuple[int, dict[str, Any]]]:
    """First row of each broken rule on rows, with its values."""
    wanted: dict[str, pl.Expr] = {}
    shown: dict[int, list[str]] = {}
    for index in broken:
        step = plan.steps[index]
        if isinstance(step, Check) and step.mask is not None:
            names = [*(name for name in contract.key if name in plan.columns.schema), *step.reads]
            shown[index] = list(dict.fromkeys(names))
            mask = step.mask.fill_null(value=False)
            # arg_max of the streaming engine takes the last of equal values.
            wanted[f"{index}:row"] = pl.int_range(pl.len(), dtype=pl.Int64).filter(mask).first()
            wanted |= {f"{index}={name}": pl.col(name).filter(mask).first() for name in shown[index]}
    if not wanted:
        return {}
    found = _select(table, plan, wanted)
    return {
        index: (found[f"{index}:row"], {name: found[f"{index}={name}"] for name in names})
        for index, names in shown.items()
    }


def _masks(table: pl.DataFrame | pl.LazyFrame, plan: _Plan, checks: Sequence[Check]) -> pl.DataFrame:
    """A bool column for each check, named by its title."""
    masks = {check.title: check.mask.fill_null(value=False) for check in checks if check.mask is not None}
    if not masks:
        return pl.DataFrame()
    return table.lazy().with_columns(plan.columns.parsed).select(**masks).collect(engine=_engine(table))


def _listed(masks: pl.DataFrame, checks: Sequence[Check]) -> pl.DataFrame:
    """Rows that break a check, with their reasons."""
    if not checks:
        return pl.DataFrame(schema={"row": pl.Int64, "reasons": pl.List(pl.String)})
    reasons = [pl.when(pl.col(check.title)).then(pl.lit(f"{check.title}: {check.reason}")) for check in checks]
    is_bad = masks.select(pl.any_horizontal([check.title for check in checks])).to_series()
    row = is_bad.arg_true().cast(pl.Int64).alias("row")
    return masks.filter(is_bad).select(row, reasons=pl.concat_list(reasons).list.drop_nulls())


def _select(table: pl.DataFrame | pl.LazyFrame, plan: _Plan, expressions: dict[str, pl.Expr]) -> dict[str, Any]:
    frame = table.lazy().with_columns(plan.columns.parsed).select(**expressions)
    return frame.collect(engine=_engine(table)).row(0, named=True)


def _engine(table: pl.DataFrame | pl.LazyFrame) -> Any:
    return "streaming" if isinstance(table, pl.LazyFrame) else "in-memory"


def _beside(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name
