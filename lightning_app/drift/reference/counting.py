"""Counting: the sketch of one column, a slice of rows at a time."""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from lightning_app.drift.columns.plan import ColumnPlan
from lightning_app.drift.columns.values import column_values
from lightning_app.drift.reference.bins import Bins
from lightning_app.drift.reference.sketch import ColumnSketch, finite

_SLICE = 65_536
"""Rows that are sorted at once: they stay in the processor's cache."""


def sketch_column(series: pl.Series, plan: ColumnPlan, bins: Bins) -> ColumnSketch:
    """Counts a column.

    Args:
        series: Column `plan.source` of a table without structs.
        plan: How it is watched.
        bins: Where it is counted.
    """
    count = _count_numbers if plan.kind == "number" else _count_categories
    total = ColumnSketch(rows=0, counts=[0] * bins.count, dtypes=[str(series.dtype)])
    for offset in range(0, len(series), _SLICE):
        total += count(series.slice(offset, _SLICE), plan, bins)
    return total


def absent_column(rows: int, bins: Bins) -> ColumnSketch:
    """Sketch of a column that a table does not have.

    Args:
        rows: Rows of the table.
        bins: Where the column would be counted.
    """
    return ColumnSketch(rows=rows, absent=rows, counts=[0] * bins.count)


def count_in_bins(ordered: npt.NDArray[Any], edges: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Number of values in each bin.

    Sorting and then looking up the edges takes a tenth of the time of looking up each value.

    Args:
        ordered: Finite numbers in increasing order.
        edges: Edges between the bins.
    """
    places = np.searchsorted(ordered, edges, side="left")
    return np.diff(places, prepend=0, append=len(ordered))


def _count_numbers(series: pl.Series, plan: ColumnPlan, bins: Bins) -> ColumnSketch:
    read = column_values(series, plan)
    ordered = np.sort(read.values.to_numpy())
    # NaN is sorted to the end.
    low, high = np.searchsorted(ordered, [-np.inf, np.inf], side="right")[0], np.searchsorted(ordered, np.inf)
    ordered = ordered[low:high]
    if not len(ordered):
        return ColumnSketch(
            rows=read.rows, missing=read.missing, wrong_type=read.wrong_type, non_finite=len(read.values),
            counts=[0] * bins.count,
        )  # fmt: skip
    edges = np.asarray(bins.edges, np.float64)
    counts = count_in_bins(ordered, edges)
    below, above = 0.0, 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        mean = finite(float(ordered.mean(dtype=np.float64)))
        distances = ordered - mean if ordered.dtype == np.float64 else ordered.astype(np.float64) - mean
        squares = finite(float(np.dot(distances, distances)))
        if len(edges):
            first, last = ordered[: counts[0]], ordered[len(ordered) - counts[-1] :]
            below = finite(float(np.sum(edges[0] - first, dtype=np.float64)))
            above = finite(float(np.sum(last - edges[-1], dtype=np.float64)))
    return ColumnSketch(
        rows=read.rows, missing=read.missing, wrong_type=read.wrong_type, non_finite=len(read.values) - len(ordered),
        counts=counts.tolist(), mean=mean, squares=squares, minimum=float(ordered[0]), maximum=float(ordered[-1]),
        below=below, above=above,
    )  # fmt: skip


def _count_categories(series: pl.Series, plan: ColumnPlan, bins: Bins) -> ColumnSketch:
    assert bins.categories is not None
    read = column_values(series, plan)
    values, times = read.values.value_counts().get_columns()
    found = dict(zip(values.to_list(), times.to_list(), strict=True))
    counts = [found.get(category, 0) for category in bins.categories]
    other = len(read.values) - sum(counts)
    return ColumnSketch(
        rows=read.rows, missing=read.missing, wrong_type=read.wrong_type, unknown=other if bins.complete else 0,
        counts=[*counts, other],
    )  # fmt: skip
