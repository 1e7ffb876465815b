"""Bins: where the numbers or categories of one column are counted."""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from msgspec import Struct

from lightning_app.drift.columns.plan import MAX_CATEGORIES

Array = npt.NDArray[np.float64]

MAX_BINS = 64
_ROWS_PER_BIN = 10
_ROUNDING = 1e-6


class Bins(Struct, frozen=True, kw_only=True):
    """Bins of a column: quantile bins of numbers, or categories and a last bin for all others.

    Attributes:
        edges: Edges between the bins of numbers in increasing order; a number equal to an edge lies above it.
        categories: Most frequent categories of the reference; None for numbers.
        complete: Whether these are all its categories.
    """

    edges: list[float] = []
    categories: list[str] | None = None
    complete: bool = True

    @property
    def count(self) -> int:
        """Number of bins."""
        return len(self.edges) + 1 if self.categories is None else len(self.categories) + 1


def number_bins(values: npt.NDArray[Any], *, max_bins: int = MAX_BINS) -> Bins:
    """Quantile bins; each frequent value has a bin of its own, and so has what is out of the reference's range.

    Args:
        values: Finite numbers of the reference.
        max_bins: Maximum number of bins.
    """
    ordered = np.sort(values.astype(np.float64))
    if not len(ordered):
        return Bins()
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] > ordered[:-1])))
    if len(first) <= max_bins - 2:
        return Bins(edges=_with_range(_edges_before(ordered, first[1:]), ordered))
    wanted = min(max_bins - 2, max(4, len(ordered) // _ROWS_PER_BIN))
    quantiles = ordered[(np.arange(1, wanted) * len(ordered)) // wanted]
    distinct, times = np.unique(quantiles, return_counts=True)
    starts = np.searchsorted(ordered, distinct, side="left")
    ends = np.searchsorted(ordered, distinct[times > 1], side="right")
    places = np.unique(np.concatenate((starts, ends)))
    return Bins(edges=_with_range(_edges_before(ordered, places[(places > 0) & (places < len(ordered))]), ordered))


def category_bins(values: pl.Series, *, max_categories: int = MAX_CATEGORIES) -> Bins:
    """The most frequent categories, ties by name.

    Args:
        values: Texts of the reference without missing values.
        max_categories: Maximum number of categories.
    """
    name = values.name
    found = values.value_counts(name="count of rows").sort("count of rows", name, descending=[True, False])
    return Bins(categories=found[name].head(max_categories).to_list(), complete=len(found) <= max_categories)


def _with_range(edges: Array, ordered: Array) -> list[float]:
    """Edges with those of the range in front and behind, far enough out for rounding to single precision."""
    low, high = float(ordered[0]), float(ordered[-1])
    reach = _ROUNDING * max(abs(low), abs(high), _ROUNDING)
    ends = np.nan_to_num([low - reach, high + reach])
    return [float(edge) for edge in np.unique(np.concatenate((ends[:1], edges, ends[1:])))]


def _edges_before(ordered: Array, places: npt.NDArray[np.intp]) -> Array:
    """Midpoints, so that a number that another format rounds differently stays in its bin."""
    below, above = ordered[places - 1], ordered[places]
    middle = below / 2 + above / 2
    return np.where(middle > below, middle, above)
