"""Profile of a table: type, missing values, distinct values, extremes and frequent values of each column."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import polars as pl

from features.contracts.checks.table_columns import TableColumns
from features.contracts.profile.inferred_types import inferred_columns
from features.contracts.rules.contract_column import ContractColumn

MOST_VALUES = 200
"""Distinct values of a column whose values are counted one by one."""
_ORDERED = ("int", "float", "date", "datetime", "time", "duration")
_TIMES = ("date", "datetime")
_MOST_KEYS = 6


class ColumnProfile(msgspec.Struct, frozen=True, kw_only=True):
    """Profile of a column.

    Attributes:
        declared: Its type.
        missing: Number of missing values.
        distinct: Number of distinct values.
        infinite: Number of infinite values.
        min: Smallest finite value of numbers and times.
        median: Median of numbers and times.
        max: Largest finite value.
        values: Values and how often each occurs, most frequent first; empty if there are more than 200.
        shape: Form that all texts share, with A, a and 9 for capitals, small letters and digits; None if they differ.
    """

    declared: ContractColumn
    missing: int
    distinct: int
    infinite: int = 0
    min: Any = None
    median: Any = None
    max: Any = None
    values: tuple[tuple[Any, int], ...] = ()
    shape: str | None = None


class TimeProfile(msgspec.Struct, frozen=True, kw_only=True):
    """Order of the rows in time.

    Attributes:
        column: First column of dates or timestamps.
        ordered: Whether no row is earlier than one before it.
        by: Column whose values, together with the time, are unique, and within which time runs forward; "" if the time
            alone is unique, None if there is no such column.
        step: Most frequent time between neighbouring distinct times, in seconds; None with fewer than two.
        step_share: Share of the steps that are equal to it.
    """

    column: str
    ordered: bool
    by: str | None
    step: float | None
    step_share: float


class TableProfile(msgspec.Struct, frozen=True, kw_only=True):
    """Profile of a table.

    Attributes:
        num_rows: Number of rows.
        columns: Columns by name.
        time: Order in time; None without dates or timestamps.
    """

    num_rows: int
    columns: dict[str, ColumnProfile]
    time: TimeProfile | None


def profile_table(table: pl.DataFrame | pl.LazyFrame, *, parse_text: bool = False) -> TableProfile:
    """Describes a table.

    Args:
        table: The table.
        parse_text: Whether text columns are read as numbers, times or truth values where every cell can be, as the
            columns of a CSV file are.
    """
    frame = table.lazy()
    declared = inferred_columns(frame, parse_text=parse_text)
    columns = TableColumns(frame.collect_schema(), declared)
    typed = frame.with_columns(columns.parsed)
    measured = _measure(typed, {name: _measures(name, columns, one) for name, one in declared.items()})
    num_rows = int(typed.select(pl.len()).collect(engine="streaming").item())
    counted = {name: one["distinct"] <= MOST_VALUES for name, one in measured.items() if declared[name].type != "float"}
    values = {name: _values(typed, columns.expression(name)) for name, some in counted.items() if some}
    texts = [name for name, one in declared.items() if one.type == "str" and name not in values]
    shapes = _measure(typed, {name: _shape(columns.expression(name)) for name in texts})
    profiles = {
        name: ColumnProfile(
            declared=declared[name],
            values=values.get(name, ()),
            shape=shapes[name]["first"] if name in shapes and shapes[name]["shapes"] == 1 else None,
            **one,
        )
        for name, one in measured.items()
    }
    return TableProfile(num_rows=num_rows, columns=profiles, time=_time(typed, columns, profiles, num_rows))


def _measures(name: str, columns: TableColumns, column: ContractColumn) -> dict[str, pl.Expr]:
    measures = {"missing": columns.missing(name).sum()}
    if column.type == "any":
        return measures | {"distinct": pl.lit(0)}
    value = columns.expression(name)
    measures["distinct"] = value.n_unique() - (value.null_count() > 0).cast(pl.Int64)
    if column.type in _ORDERED:
        finite = value
        if columns.dtype(name).is_float():
            measures["infinite"] = value.is_infinite().sum()
            finite = value.filter(value.is_finite())
        measures |= {"min": finite.min(), "median": finite.median(), "max": finite.max()}
    return measures


def _shape(text: pl.Expr) -> dict[str, pl.Expr]:
    shape = text.str.replace_all(r"\p{Lu}", "A").str.replace_all(r"\p{Ll}", "a").str.replace_all(r"[0-9]", "9")
    return {"shapes": shape.drop_nulls().n_unique(), "first": shape.drop_nulls().first()}


def _measure(table: pl.LazyFrame, measures: Mapping[str, Mapping[str, pl.Expr]]) -> dict[str, dict[str, Any]]:
    flat = {f"{name}\0{key}": one for name, own in measures.items() for key, one in own.items()}
    if not flat:
        return {}
    found = table.select(**flat).collect(engine="streaming").row(0, named=True)
    return {name: {key: found[f"{name}\0{key}"] for key in own} for name, own in measures.items()}


def _values(table: pl.LazyFrame, value: pl.Expr) -> tuple[tuple[Any, int], ...]:
    counts = (
        table.select(value=value).drop_nulls().group_by("value").len().sort("len", "value", descending=[True, False])
    )
    return tuple(counts.collect(engine="streaming").rows())


def _time(
    table: pl.LazyFrame, columns: TableColumns, profiles: Mapping[str, ColumnProfile], num_rows: int
) -> TimeProfile | None:
    name = next((name for name, one in profiles.items() if one.declared.type in _TIMES and one.distinct), None)
    if name is None:
        return None
    value = columns.expression(name)
    before = value.cum_max().forward_fill().shift(1)
    ordered = table.select((value < before).sum() == 0).collect(engine="streaming").item()
    steps = table.select(time=value).drop_nulls().unique().sort("time").select(pl.col("time").diff().drop_nulls())
    counted = steps.group_by("time").len().sort("len", "time", descending=[True, False]).collect(engine="streaming")
    step: timedelta | None = counted["time"][0] if len(counted) else None
    return TimeProfile(
        column=name,
        ordered=bool(ordered),
        by="" if profiles[name].distinct == num_rows else _entity(table, columns, profiles, name, num_rows),
        step=step.total_seconds() if step is not None else None,
        step_share=counted["len"][0] / counted["len"].sum() if len(counted) else 0.0,
    )


def _entity(
    table: pl.LazyFrame, columns: TableColumns, profiles: Mapping[str, ColumnProfile], time: str, num_rows: int
) -> str | None:
    """Column with the fewest values that tells apart all rows of equal time."""
    if profiles[time].missing:
        return None
    names = [
        name
        for name, one in profiles.items()
        if one.declared.type in ("str", "int") and not one.missing and 1 < one.distinct < num_rows
        and one.distinct * profiles[time].distinct >= num_rows
    ]  # fmt: skip
    for name in _fewest(names, profiles):
        together = pl.struct(columns.expression(time), columns.expression(name))
        value = columns.expression(time)
        back = value < value.cum_max().shift(1).over(columns.expression(name))
        distinct, unordered = table.select(together.n_unique(), back.sum().alias("back")).collect().row(0)
        if distinct == num_rows and not unordered:
            return name
    return None


def _fewest(names: Sequence[str], profiles: Mapping[str, ColumnProfile]) -> list[str]:
    return sorted(names, key=lambda name: profiles[name].distinct)[:_MOST_KEYS]
