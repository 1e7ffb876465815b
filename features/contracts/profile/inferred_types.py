"""Inferred types: the narrowest declared type that every cell of a text column can be parsed into."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from features.contracts.checks.table_columns import TableColumns
from features.contracts.rules.column_types import missing_word, parsed, type_name
from features.contracts.rules.contract_column import ContractColumn

_DATES = ("%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y")
_CLOCKS = ("%H:%M", "%H:%M:%S")
_CANDIDATES: tuple[ContractColumn, ...] = (
    ContractColumn(type="int"), ContractColumn(type="float"), ContractColumn(type="bool"), ContractColumn(type="date"),
    ContractColumn(type="datetime"), ContractColumn(type="datetime", time_zone="UTC"), ContractColumn(type="time"),
    *(ContractColumn(type="date", time_format=one) for one in _DATES),
    *(ContractColumn(type="datetime", time_format=f"{one} {clock}") for one in _DATES for clock in _CLOCKS),
)  # fmt: skip
_SAMPLE = 1000
_FIRST_YEAR = 1000
"""A year before it was written with two digits."""
_LEADING_ZERO = r"^\s*[+-]?0\d"
"""A number that is a code: 007 would lose its zeros."""


def inferred_columns(table: pl.LazyFrame, *, parse_text: bool) -> dict[str, ContractColumn]:
    """Types of all columns of a table.

    Args:
        table: The table.
        parse_text: Whether text columns are read as numbers, times or truth values where every cell can be, as the
            columns of a CSV file are.
    """
    schema = table.collect_schema()
    columns = {name: _typed(dtype) for name, dtype in schema.items()}
    texts = [name for name, dtype in schema.items() if dtype == pl.String] if parse_text else []
    likely = _fitting(table.head(_SAMPLE), dict.fromkeys(texts, _CANDIDATES), empty=True)
    certain = _fitting(table, likely, empty=False)
    return columns | {name: one[0] for name, one in certain.items() if one and not _ambiguous(one)}


def _ambiguous(candidates: Sequence[ContractColumn]) -> bool:
    """Whether days could be months: 01/02/2024."""
    formats = [one.time_format for one in candidates if one.time_format]
    return len(formats) > 1 and candidates[0].time_format is not None


def typed_table(table: pl.LazyFrame) -> pl.LazyFrame:
    """A table of text, such as a CSV file, with its columns in their inferred types.

    Args:
        table: The table.
    """
    columns = TableColumns(table.collect_schema(), inferred_columns(table, parse_text=True))
    return table.with_columns(columns.parsed).select(columns.expression(name).alias(name) for name in columns.schema)


def _typed(dtype: pl.DataType) -> ContractColumn:
    zone = dtype.time_zone if isinstance(dtype, pl.Datetime) else None
    return ContractColumn(type=type_name(dtype), time_zone=zone)


def _fitting(
    table: pl.LazyFrame, candidates: Mapping[str, Sequence[ContractColumn]], *, empty: bool
) -> dict[str, list[ContractColumn]]:
    """Candidates that all cells of their column can be parsed into; with `empty`, also where no cell has a value."""
    measures: dict[str, pl.Expr] = {}
    for name, columns in candidates.items():
        text = pl.col(name)
        has_value = text.is_not_null() & ~missing_word(text)
        measures[f"{name}\0values"] = has_value.sum()
        measures[f"{name}\0codes"] = text.str.contains(_LEADING_ZERO).sum()
        for index, column in enumerate(columns):
            cells = parsed(text, column.type, time_format=column.time_format, time_zone=column.time_zone)
            wrong = cells.is_null() & has_value
            if column.time_format is not None:
                wrong |= cells.dt.year() < _FIRST_YEAR
            measures[f"{name}\0{index}"] = wrong.sum()
    if not measures:
        return {}
    counts: dict[str, Any] = table.select(**measures).collect(engine="streaming").row(0, named=True)
    fitting: dict[str, list[ContractColumn]] = {}
    for name, columns in candidates.items():
        has_values = counts[f"{name}\0values"] > 0 or empty
        fitting[name] = [
            column
            for index, column in enumerate(columns)
            if has_values
            and counts[f"{name}\0{index}"] == 0
            and not (counts[f"{name}\0codes"] and column.type in ("int", "float"))
        ]
    return fitting
