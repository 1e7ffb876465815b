"""Checks of the columns that a contract declares: they exist, and are of their type."""

from difflib import get_close_matches
from typing import TYPE_CHECKING

import polars as pl

from features.contracts.checks.check import Check, row_check
from features.contracts.checks.table_columns import TableColumns
from features.contracts.rules.column_types import accepts, missing_word
from features.contracts.rules.contract_column import ContractColumn
from features.contracts.verdict import RuleResult

if TYPE_CHECKING:
    from features.contracts.contract import Contract

_UTC = ("UTC", "Etc/UTC", "Z", "+00:00", "GMT")


def compile_columns(contract: "Contract", columns: TableColumns) -> list[Check | RuleResult]:
    """Checks and results for required, extra and typed columns.

    Args:
        contract: The contract.
        columns: Columns of the table.
    """
    steps: list[Check | RuleResult] = [_required(contract, name, columns) for name in _wanted(contract)]
    if contract.extra_columns != "allow":
        extra = [name for name in columns.schema if name not in contract.columns]
        message = f"{', '.join(map(repr, extra))}: not in the contract" if extra else ""
        steps.append(
            RuleResult(rule="extra_columns", severity=contract.extra_columns, passed=not extra, message=message)
        )
    steps += [_typed(name, one, columns) for name, one in contract.columns.items() if name in columns.schema]
    return steps


def _wanted(contract: "Contract") -> list[str]:
    """Columns that a table has to have: those declared as required, and those that rules read."""
    optional = [name for name, column in contract.columns.items() if not column.required]
    read = [name for rule in contract.rules for name in rule.columns_read]
    return [name for name in dict.fromkeys((*contract.columns, *read)) if name not in optional]


def _required(contract: "Contract", name: str, columns: TableColumns) -> RuleResult:
    if name in columns.schema:
        return RuleResult(rule=f"required({name})", severity="error", passed=True)
    free = [one for one in columns.schema if one not in contract.columns]
    close = get_close_matches(name, free or list(columns.schema), n=1)
    message = f"there is no column {name!r}" + (f"; did you mean {close[0]!r}?" if close else "")
    return RuleResult(rule=f"required({name})", severity="error", passed=False, message=message)


def _typed(name: str, column: ContractColumn, columns: TableColumns) -> Check | RuleResult:
    title = f"type({name})"
    dtype = columns.schema[name]
    if columns.is_parsed(name):
        text = pl.col(name).cast(pl.String)
        unread = columns.expression(name).is_null() & text.is_not_null() & ~missing_word(text)
        reason = f"not readable as {column.type}{_format(column)}"
        return row_check(title=title, severity=column.severity, reads=(name,), mask=unread, reason=reason)
    message = ""
    if not accepts(column.type, dtype):
        message = f"column {name!r} holds {dtype}, {column.type} is declared"
    elif isinstance(dtype, pl.Datetime) and column.type == "datetime" and not _same_zone(dtype, column):
        declared = f"{column.time_zone} is declared" if column.time_zone else "none is declared: set its time_zone"
        message = f"column {name!r} is in the time zone {dtype.time_zone or 'of no name'}, {declared}"
    return RuleResult(rule=title, severity=column.severity, passed=not message, message=message)


def _same_zone(dtype: pl.Datetime, column: ContractColumn) -> bool:
    zones = [("UTC" if zone in _UTC else zone) for zone in (dtype.time_zone, column.time_zone)]
    return zones[0] == zones[1]


def _format(column: ContractColumn) -> str:
    if column.time_format:
        return f" in the format {column.time_format}"
    if column.type == "datetime":
        return f" in ISO 8601 with{' an' if column.time_zone else 'out an'} offset"
    return ""
