"""Relative difference of two answers: the largest absolute difference in units of the largest number expected."""

import numpy as np


def largest_magnitude(expected: np.ndarray, *, axis: tuple[int, ...] | None = None, if_zero: float = 1.0) -> np.ndarray:
    """The unit of relative differences: the largest absolute number.

    Args:
        expected: Numbers of any shape.
        axis: Axes to reduce, which keep size 1; None for all.
        if_zero: The unit where all numbers are zero.
    """
    largest = np.abs(expected.astype(np.float64)).max(axis=axis, keepdims=True)
    return np.where(largest > 0, largest, if_zero)


def relative_differences(answer: np.ndarray, expected: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Differences by element; infinite where either is not a number, so that no bound lets it pass.

    Args:
        answer: Of the shape of `expected`.
        expected: What should have been answered.
        unit: From `largest_magnitude`.
    """
    apart = np.abs(answer.astype(np.float64) - expected.astype(np.float64)) / unit
    return np.where(np.isnan(apart), np.inf, apart)


def relative_difference(answer: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, in units of the largest number expected (of 1 where all are zero).

    Args:
        answer: Of the shape of `expected`.
        expected: What should have been answered; not empty.
    """
    return float(relative_differences(answer, expected, largest_magnitude(expected)).max())
