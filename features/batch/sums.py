"""Sums over ranges, as exact as if every range were added up by itself with one rounding at the end.

Differences of plain running sums lose digits where sums are large and windows small. Here the rounding errors of the
running sum, which floats hold exactly, are summed again, and so on until nothing is rounded any more.
"""

import numpy as np

from features.batch.extremes import range_extremes
from features.batch.ranges import Ranges, count_before

_SPLIT = 134_217_729.0  # 2**27 + 1, Dekker
_LEVELS = 8
_LARGEST = np.finfo(np.float64).max
_VANISHING = 2.0**-400  # the square of a smaller share of the largest value may be 0


class RunningSum:
    """Running sum of numbers, with its rounding errors.

    Args:
        parts: Arrays float64 (n,) whose sum, number by number, is what is summed.
    """

    def __init__(self, *parts: np.ndarray) -> None:
        self._levels: list[np.ndarray] = []
        for part in parts:
            rest = part
            for _ in range(_LEVELS):
                running = np.concatenate([[0.0], np.cumsum(rest)])
                self._levels.append(running)
                _, rest = two_sum(running[:-1], rest)
                if not rest.any():
                    break

    def over(self, ranges: Ranges) -> tuple[np.ndarray, np.ndarray]:
        """Sum over each range as a number and its rounding error, float64 (m,) each."""
        terms = [term for level in self._levels for term in two_sum(level[ranges.high], -level[ranges.low])]
        for _ in range(len(self._levels)):  # each pass moves what is rounded off one place down
            for place in range(1, len(terms)):
                terms[place], terms[place - 1] = two_sum(terms[place], terms[place - 1])
        rest = terms[0]
        for term in terms[1:-1]:
            rest = rest + term
        return two_sum(terms[-1], rest)


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
    scale = _room(values)
    with np.errstate(over="ignore"):  # a sum that no float holds is infinite
        return _sums(values / scale, ranges) * scale


def range_means(values: np.ndarray, ranges: Ranges) -> np.ndarray:
    """Mean of each range, any number where it is empty.

    Args:
        values: float64 (n,).
        ranges: m ranges.
    """
    scale = _room(values)
    return _sums(values / scale, ranges) / np.maximum(ranges.count, 1) * scale


def _room(values: np.ndarray) -> float:
    """Power of two that values are divided by, so that their running sum stays finite; nearly always 1."""
    size = np.max(np.abs(values), initial=0.0, where=np.isfinite(values))
    return 1.0 if size < _LARGEST / (len(values) + 1) else 2.0 ** np.ceil(np.log2(len(values) + 1) + 2)


def _sums(values: np.ndarray, ranges: Ranges) -> np.ndarray:
    finite = np.isfinite(values)
    if finite.all():
        return RunningSum(values).over(ranges)[0]
    total = RunningSum(np.where(finite, values, 0.0)).over(ranges)[0]
    with np.errstate(invalid="ignore"):  # both signs in a range make nan
        for sign in (np.inf, -np.inf):
            total = np.where(ranges.among(count_before(values == sign)).count > 0, total + sign, total)
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
    numbers = np.where(finite, values, 0.0)
    size = np.max(np.abs(numbers), initial=0.0)
    scale = 2.0 ** min(np.floor(np.log2(size)), 1023.0) if size > 0 else 1.0  # squares neither overflow nor vanish
    safe = numbers / scale
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
    small = (numbers != 0) & (np.abs(safe) < _VANISHING)
    if small.any():  # ranges without larger values are computed again, among themselves
        tiny = rows[range_extremes(np.abs(safe), chosen, "max") < _VANISHING]
        among_small = Ranges(low=ranges.low[tiny], high=ranges.high[tiny])
        result[tiny] = range_stds(np.where(small, numbers, 0.0), among_small)
    if not finite.all():
        result[ranges.among(count_before(~finite)).count > 0] = np.nan
    return result
