"""Minima and maxima over ranges of events."""

from typing import Literal

import numpy as np

from features.batch.ranges import Ranges


def range_extremes(values: np.ndarray, ranges: Ranges, which: Literal["min", "max"]) -> np.ndarray:
    """Smallest or largest value of each range; of an empty range any value.

    Extremes of stretches of length 1, 2, 4, ... are built one after another; two that overlap cover a range.

    Args:
        values: Numbers (n,).
        ranges: m ranges.
        which: `min` or `max`.
    """
    pick = np.minimum if which == "min" else np.maximum
    count = ranges.count
    result = np.zeros(len(count), dtype=values.dtype)
    levels = np.where(count > 0, np.floor(np.log2(np.maximum(count, 1))).astype(np.int64), -1)
    stretch = values
    for level in range(int(levels.max(initial=-1)) + 1):
        if level:
            half = 1 << (level - 1)
            stretch = pick(stretch[:-half], stretch[half:])
        rows = np.flatnonzero(levels == level)
        result[rows] = pick(stretch[ranges.low[rows]], stretch[ranges.high[rows] - (1 << level)])
    return result
