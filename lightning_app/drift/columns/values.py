"""ColumnValues: values of a monitored column in a table, as floating-point numbers or as text."""

from typing import NamedTuple

import polars as pl

from lightning_app.drift.columns.nested import LABEL, LABEL_PART, as_flat_lists, has_labels, inner_type
from lightning_app.drift.columns.plan import ColumnPlan


class ColumnValues(NamedTuple):
    """Values of one monitored column.

    Attributes:
        values: Float32 or Float64 for numbers, String for categories; without missing values.
        rows: Rows of the table.
        wrong_type: Values that are there and cannot be read as what the column is.
    """

    values: pl.Series
    rows: int
    wrong_type: int

    @property
    def missing(self) -> int:
        """Rows without a value."""
        return self.rows - len(self.values) - self.wrong_type


def column_values(series: pl.Series, plan: ColumnPlan) -> ColumnValues:
    """Reads a column of a table as its plan says, whatever type it has now.

    Args:
        series: Column `plan.source` of a table without structs.
        plan: How it is watched.
    """
    read = read_column(series, plan)
    if read is None:
        wrong = len(series) - series.null_count()
        return ColumnValues(pl.Series(plan.name, [], pl.Float64), len(series), wrong)
    wrong = read.null_count() - series.null_count() if plan.part is None else 0
    return ColumnValues(read.drop_nulls(), len(series), wrong)


def read_column(series: pl.Series, plan: ColumnPlan) -> pl.Series | None:
    """Value of each row, null where it is missing or cannot be read.

    Args:
        series: Column `plan.source` of a table without structs.
        plan: How it is watched.

    Returns:
        Float32, Float64 or String, [rows]; None if the column has no such part.
    """
    if plan.part is not None:
        return _part(series, plan.part)
    return _numbers(series) if plan.kind == "number" else _categories(series)


def _numbers(series: pl.Series) -> pl.Series:
    dtype = series.dtype
    if dtype in (pl.Float32, pl.Float64):
        return series
    if dtype == pl.Duration:
        return series.dt.total_microseconds().cast(pl.Float64) / 1e6
    if dtype.is_numeric() or dtype in (pl.Boolean, pl.Null):
        return series.cast(pl.Float64)
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return series.cast(pl.String).cast(pl.Float64, strict=False)
    return pl.Series(series.name, [None] * len(series), pl.Float64)


def _categories(series: pl.Series) -> pl.Series:
    dtype = series.dtype
    if dtype.is_float():  # JSON writes 3.0 where a table had 3
        whole = (series == series.floor()) & (series.abs() < 2**53)
        frame = pl.DataFrame({"value": series, "whole": whole})
        text = pl.col("value").cast(pl.String)
        plain = pl.col("value").cast(pl.Int64, strict=False).cast(pl.String)
        return frame.select(pl.when("whole").then(plain).otherwise(text)).to_series().rename(series.name)
    if dtype in (pl.Boolean, pl.Categorical, pl.Enum, pl.Null, pl.String) or dtype.is_integer():
        return series.cast(pl.String)
    if dtype.is_decimal() or dtype.is_temporal():
        return series.cast(pl.String, strict=False)
    return pl.Series(series.name, [None] * len(series), pl.String)


def _part(series: pl.Series, part: str) -> pl.Series | None:
    """Part of a text or a list; None if the column is neither."""
    dtype = series.dtype
    if dtype == pl.Null:
        return series.cast(pl.Float64)
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        text = series.cast(pl.String)
        if part == "length":
            return text.str.len_chars().cast(pl.Float64)
        if part == "words":
            return text.str.count_matches(r"\S+").cast(pl.Float64)
        return None
    if not isinstance(dtype, pl.List | pl.Array):
        return None
    if isinstance(dtype, pl.Array):
        series = series.arr.to_list()
    if part == "length":
        return series.list.len().cast(pl.Float64)
    inner = inner_type(dtype)
    if part.startswith(LABEL_PART):
        if not has_labels(series.dtype):  # no row has an element, or they are something else
            return series.list.len().cast(pl.Float64) if inner == pl.Null else None
        found = series.list.eval(pl.element().struct.field(LABEL) == part.removeprefix(LABEL_PART))
        return found.list.sum().cast(pl.Float64)
    if part.isdigit() and isinstance(series.dtype, pl.List) and series.dtype.inner in (pl.String, pl.Categorical):
        return series.list.get(int(part), null_on_oob=True).cast(pl.String)
    if not (inner.is_numeric() or inner in (pl.Boolean, pl.Null)):
        return None
    flat = as_flat_lists(series)
    if part.isdigit():
        return flat.list.get(int(part), null_on_oob=True)
    if part == "size":
        return flat.list.len().cast(pl.Float64)
    if part == "mean":
        return flat.list.mean()
    if part == "sd":
        return flat.list.std(ddof=0)
    return flat.list.last()
