"""Relative difference of two answers: largest absolute difference / largest absolute expected value."""

import numpy as np


def largest_magnitude(expected: np.ndarray, *, axis: tuple[int, ...] | None = None, if_zero: float = 1.0) -> np.ndarray:
    """Largest absolute value: the unit of relative differences.

    Args:
        expected: Values of any shape.
        axis: Axes to reduce, kept with size 1; None for all.
        if_zero: Unit if all values are zero.
    """
    largest = np.abs(expected.astype(np.float64)).max(axis=axis, keepdims=True)
    return np.where(largest > 0, largest, if_zero)


def relative_differences(answer: np.ndarray, expected: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Elementwise relative differences; infinite where either value is NaN, so that no bound accepts it.

    Args:
        answer: Values of the shape of `expected`.
        expected: Expected values.
        unit: Result of `largest_magnitude`.
    """
    apart = np.abs(answer.astype(np.float64) - expected.astype(np.float64)) / unit
    return np.where(np.isnan(apart), np.inf, apart)


def relative_difference(answer: np.ndarray, expected: np.ndarray) -> float:
    """Largest relative difference, in units of the largest expected value (1 if all are zero).

    Args:
        answer: Values of the shape of `expected`.
        expected: Expected values; not empty.
    """
    return float(relative_differences(answer, expected, largest_magnitude(expected)).max())
