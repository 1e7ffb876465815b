"""Sums over ranges, as exact as if every range were added up by itself with one rounding at the end.

Differences of plain running sums lose digits where sums are large and windows small. Here the rounding errors of the
running sum, which floats can hold without error, are summed again, twice: the three running sums together carry about
three times the digits.
"""

import numpy as np

from features.batch.ranges import Ranges

_SPLIT = 134_217_729.0  # 2**27 + 1, Dekker


class RunningSum:
    """Running sum of numbers, with its rounding errors.

    Args:
        parts: Arrays float64 (n,) whose sum, number by number, is what is summed.
    """

    def __init__(self, *parts: np.ndarray) -> None:
        main, error = _accumulate(parts[0])
        for part in parts[1:]:
            error = error + part
        second, error = _accumulate(error)
        self.levels = (main, second, np.concatenate([[0.0], np.cumsum(error)]))

    def over(self, ranges: Ranges) -> tuple[np.ndarray, np.ndarray]:
        """Sum over each range as a number and its rounding error, float64 (m,) each."""
        main, second, third = self.levels
        total, error = two_sum(main[ranges.high], -main[ranges.low])
        next_total, next_error = two_sum(second[ranges.high], -second[ranges.low])
        total, rest = two_sum(total, next_total)
        error = error + next_error + (third[ranges.high] - third[ranges.low]) + rest
        return two_sum(total, error)


def _accumulate(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    running = np.concatenate([[0.0], np.cumsum(values)])
    _, error = two_sum(running[:-1], values)
    return running, error


def two_sum(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum and its rounding error (Knuth)."""
    total = left + right
    shadow = total - left
    return total, (left - (total - shadow)) + (right - shadow)


def two_product(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Product and its rounding error (Dekker)."""
    product = left * right
    left_high, left_low = _split(left)
    right_high, right_low = _split(right)
    error = left_low * right_low - (
        ((product - left_high * right_high) - left_low * right_high) - left_high * right_low
    )
    return product, error


def _split(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scaled = _SPLIT * value
    high = scaled - (scaled - value)
    return high, value - high


def range_sums(values: np.ndarray, ranges: Ranges) -> np.ndarray:
    """Sum of each range.

    Args:
        values: float64 (n,).
        ranges: m ranges.
    """
    finite = np.isfinite(values)
    if finite.all():
        return RunningSum(values).over(ranges)[0]
    total = RunningSum(np.where(finite, values, 0.0)).over(ranges)[0]
    for sign in (np.inf, -np.inf):
        total = np.where(ranges.kept(values == sign).count > 0, total + sign, total)
    return total


def range_stds(values: np.ndarray, ranges: Ranges) -> np.ndarray:
    """Sample deviation of each range, nan below two values; exactly 0 where all values are equal.

    Args:
        values: float64 (n,).
        ranges: m ranges.
    """
    count = ranges.count
    result = np.full(len(count), np.nan)
    finite = np.isfinite(values)
    safe = np.where(finite, values, 0.0)
    size = np.max(np.abs(safe), initial=0.0)
    scale = 2.0 ** np.floor(np.log2(size)) if size > 0 else 1.0  # squares neither overflow nor vanish
    safe = safe / scale
    rows = np.flatnonzero(count >= 2)
    chosen, n = Ranges(low=ranges.low[rows], high=ranges.high[rows]), count[rows].astype(np.float64)
    total, total_error = RunningSum(safe).over(chosen)
    squares, squares_error = RunningSum(*two_product(safe, safe)).over(chosen)
    # squares - total**2 / n, times n so that nothing is rounded before the difference
    left, left_error = two_product(squares, n)
    right, right_error = two_product(total, total)
    difference, rest = two_sum(left, -right)
    rest += left_error + squares_error * n - right_error - 2.0 * total * total_error
    variance = np.maximum(difference + rest, 0.0) / n / (n - 1)
    # Values are equal throughout a range if the run of equal values at its end started before it.
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]])) if len(values) else np.zeros(0, int)
    run = starts[np.searchsorted(starts, chosen.high - 1, side="right") - 1] if len(starts) else chosen.low
    variance = np.where(run <= chosen.low, 0.0, variance)
    result[rows] = np.sqrt(variance) * scale
    if not finite.all():
        result[ranges.kept(~finite).count > 0] = np.nan
    return result
