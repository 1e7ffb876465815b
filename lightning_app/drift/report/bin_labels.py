"""Bins of a column for pictures: their names and ends, without bins that nothing is in."""

from itertools import pairwise
from typing import NamedTuple

from lightning_app.drift.reference.reference import ColumnReference
from lightning_app.drift.reference.sketch import ColumnSketch

OTHER = "other"


class Picture(NamedTuple):
    """What a picture of a column is drawn from.

    Attributes:
        labels: Name of each bin.
        edges: Ends of the bins of numbers, one more than bins; none for categories.
        reference: Rows of the reference in each bin.
        current: Rows of the window in each bin.
    """

    labels: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()
    reference: tuple[float, ...] = ()
    current: tuple[float, ...] = ()


def picture(reference: ColumnReference, current: ColumnSketch) -> Picture:
    """Counts of both for a picture.

    Args:
        reference: The column in the reference.
        current: Its sketch in the window.
    """
    before, bins = reference.sketch, reference.bins
    if bins.categories is None:
        return _numbers(reference, current)
    first, second, labels = before.counts, current.counts, [*bins.categories, OTHER]
    if OTHER in bins.categories:
        labels[-1] = "all others"
    if not first[-1] and not second[-1]:
        first, second, labels = first[:-1], second[:-1], labels[:-1]
    return Picture(tuple(labels), (), tuple(first), tuple(second))


def _numbers(reference: ColumnReference, current: ColumnSketch) -> Picture:
    before, edges = reference.sketch, reference.bins.edges
    first, second = before.counts, current.counts
    lows = [value for value in (before.minimum, current.minimum) if value is not None]
    highs = [value for value in (before.maximum, current.maximum) if value is not None]
    if not edges or not lows or not highs:
        return Picture()
    ends = [min(edges[0], *lows), *edges, max(edges[-1], *highs)]
    begin = 0 if first[0] or second[0] else 1
    end = len(first) if first[-1] or second[-1] else len(first) - 1
    ends, first, second = ends[begin : end + 1], first[begin:end], second[begin:end]
    labels = tuple(f"{low:.4g} to {high:.4g}" for low, high in pairwise(ends))
    return Picture(labels, tuple(ends), tuple(first), tuple(second))
