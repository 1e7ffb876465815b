"""Bins: where the numbers or categories of one column are counted."""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from msgspec import Struct

from lightning_app.drift.columns.plan import MAX_CATEGORIES

MAX_BINS = 64
_ROWS_PER_BIN = 10
OTHER = "other"


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
    """Quantile bins; each value that is frequent has a bin of its own.

    Args:
        values: Finite numbers of the reference.
        max_bins: Maximum number of bins.
    """
    ordered = np.sort(values.astype(np.float64))
    if not len(ordered):
        return Bins()
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] > ordered[:-1])))
    if len(first) <= max_bins:
        return Bins(edges=_edges_before(ordered, first[1:]))
    wanted = min(max_bins, max(4, len(ordered) // _ROWS_PER_BIN))
    quantiles = ordered[(np.arange(1, wanted) * len(ordered)) // wanted]
    distinct, times = np.unique(quantiles, return_counts=True)
    starts = np.searchsorted(ordered, distinct, side="left")
    ends = np.searchsorted(ordered, distinct[times > 1], side="right")
    places = np.unique(np.concatenate((starts, ends)))
    return Bins(edges=_edges_before(ordered, places[(places > 0) & (places < len(ordered))]))


def category_bins(values: pl.Series, *, max_categories: int = MAX_CATEGORIES) -> Bins:
    """The most frequent categories, ties by name.

    Args:
        values: Texts of the reference without missing values.
        max_categories: Maximum number of categories.
    """
    name = values.name
    found = values.value_counts(name="count of rows").sort("count of rows", name, descending=[True, False])
    return Bins(categories=found[name].head(max_categories).to_list(), complete=len(found) <= max_categories)


def _edges_before(ordered: npt.NDArray[np.float64], places: npt.NDArray[np.intp]) -> list[float]:
    """Midpoints, so that a number that another format rounds differently stays in its bin."""
    below, above = ordered[places - 1], ordered[places]
    middle = below / 2 + above / 2
    edges: list[float] = np.where(middle > below, middle, above).tolist()
    return edges
