"""Distinct counts over ranges of events."""

import numpy as np

from features.batch.ranges import Ranges


def range_distinct(values: np.ndarray, ranges: Ranges) -> np.ndarray:
    """Number of distinct values of each range, int64 (m,).

    A value counts where it stands first in its range: where the same value stood before, if at all, before the range.

    Args:
        values: int64 (n,), equal where values are equal.
        ranges: m ranges.
    """
    order = np.argsort(values, kind="stable")
    before = np.full(len(values), -1, dtype=np.int64)
    same = values[order][1:] == values[order][:-1]
    before[order[1:][same]] = order[:-1][same]
    return _count_below(before + 1, ranges, ranges.low + 1)


def _count_below(numbers: np.ndarray, ranges: Ranges, limits: np.ndarray) -> np.ndarray:
    """How many numbers of each range are below its limit, by a wavelet matrix, one bit after another."""
    low, high = ranges.low.copy(), ranges.high.copy()
    found = np.zeros(len(low), dtype=np.int64)
    bits = int(max(numbers.max(initial=0), limits.max(initial=0))).bit_length()
    for bit in reversed(range(bits)):
        is_zero = (numbers >> bit) & 1 == 0
        zeros = np.concatenate([[0], np.cumsum(is_zero)])
        total = int(zeros[-1])
        low_zeros, high_zeros = zeros[low], zeros[high]
        is_one = (limits >> bit) & 1 == 1
        found += np.where(is_one, high_zeros - low_zeros, 0)
        low = np.where(is_one, total + low - low_zeros, low_zeros)
        high = np.where(is_one, total + high - high_zeros, high_zeros)
        numbers = np.concatenate([numbers[is_zero], numbers[~is_zero]])
    return found
