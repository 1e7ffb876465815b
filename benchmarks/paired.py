"""Paired difference: two configs on the same seeds, with the interval of its mean."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t as student


@dataclass(frozen=True)
class Paired:
    """Mean of differences and its two-sided 95 % interval by Student's t.

    Attributes:
        mean: Of the differences.
        low: Lower end of the interval.
        high: Upper end.
        wins: In how many pairs the first one is larger.
    """

    mean: float
    low: float
    high: float
    wins: int

    @classmethod
    def of(cls, first: Sequence[float], second: Sequence[float]) -> "Paired":
        """First minus second, pair by pair.

        Args:
            first: At least two values.
            second: As many, in the same order.
        """
        differences = [one - other for one, other in zip(first, second, strict=True)]
        mean, count = statistics.fmean(differences), len(differences)
        reach = float(student.ppf(0.975, count - 1)) * statistics.stdev(differences) / count**0.5
        return cls(mean, mean - reach, mean + reach, sum(difference > 0 for difference in differences))
