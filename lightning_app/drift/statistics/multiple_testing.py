"""Multiple testing: p-values corrected for how many tests there are."""

from collections.abc import Sequence

import numpy as np


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for the false discovery rate.

    Where nothing differs, one of them is at most alpha in a share alpha of the cases, if the tests are independent.

    Args:
        p_values: Of all tests.
    """
    count = len(p_values)
    values = np.asarray(p_values, np.float64)
    order = np.argsort(-values, kind="stable")
    ranks = np.arange(count, 0, -1)
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(1, np.minimum.accumulate(values[order] * count / ranks))
    return [float(value) for value in adjusted]


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for the rate of any false rejection, whatever the dependence between tests.

    Args:
        p_values: Of all tests.
    """
    count = len(p_values)
    values = np.asarray(p_values, np.float64)
    order = np.argsort(values, kind="stable")
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(values[order] * np.arange(count, 0, -1)))
    return [float(value) for value in adjusted]


def families(*adjusted: Sequence[float]) -> list[list[float]]:
    """Adjusted p-values of several families of tests, adjusted for the number of families too.

    Families are compared by their smallest adjusted p-value (Benjamini and Bogomolov).

    Args:
        adjusted: Adjusted p-values within each family.
    """
    least = [min(values) for values in adjusted if values]
    corrected = iter(zip(least, benjamini_hochberg(least), strict=True))
    found: list[list[float]] = []
    for values in adjusted:
        factor = 1.0
        if values:
            before, after = next(corrected)
            factor = after / before if before > 0 else 1.0
        found.append([min(1.0, value * factor) for value in values])
    return found
