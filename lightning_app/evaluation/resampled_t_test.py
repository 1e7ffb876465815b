"""Corrected resampled t-test (Nadeau & Bengio, 2003): intervals of means over folds, whose training rows overlap."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class FoldMean:
    """Mean of one value per fold.

    Attributes:
        mean: The mean.
        deviation: Standard deviation over the folds; NaN for a single fold.
        low: Lower end of the 95 % interval; NaN for a single fold.
        high: Upper end.
        p_value: Two-sided, of a true mean of 0.
    """

    mean: float
    deviation: float
    low: float
    high: float
    p_value: float


def fold_mean(values: Sequence[float], *, test_share: float) -> FoldMean:
    """Mean over folds, with an interval that counts the overlap of their training rows.

    The variance of the mean is taken as (1/K + n_test/n_train) times that over the folds: models of different folds
    share most of their training rows, so their results are not independent, and 1/K alone would be too small.

    Args:
        values: One per fold, K of them.
        test_share: n_test / n_train of a fold.
    """
    count = len(values)
    mean = math.fsum(values) / count
    if count < 2:
        return FoldMean(mean, math.nan, math.nan, math.nan, math.nan)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    error = deviation * math.sqrt(1 / count + test_share)
    margin = t_quantile(0.95, count - 1) * error
    p_value = (0.0 if mean else 1.0) if error == 0 else 1 - t_within(abs(mean) / error, count - 1)
    return FoldMean(mean, deviation, mean - margin, mean + margin, p_value)


def t_within(t: float, degrees: int) -> float:
    """Probability that a Student variable lies between -t and t (Abramowitz & Stegun, 26.7.3 and 26.7.4).

    Args:
        t: Bound, 0 or more.
        degrees: Degrees of freedom, 1 or more.
    """
    angle = math.atan(t / math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term = total = 0.0 if degrees == 1 else cosine if odd else 1.0
    for k in range(3 if odd else 2, degrees - 1, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def t_quantile(within: float, degrees: int) -> float:
    """Bound between whose negative and itself a Student variable lies with a probability.

    Args:
        within: The probability, below 1.
        degrees: Degrees of freedom.
    """
    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if t_within(middle, degrees) < within else (low, middle)
    return high
