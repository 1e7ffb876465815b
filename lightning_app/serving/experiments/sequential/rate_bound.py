"""Rate bounds: always-valid statements on one rate of independent events, where nothing is left to compare with."""

import math
from collections.abc import Sequence

_FACTORS: Sequence[float] = (1.15, 1.3, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0)
"""Odds of the alternatives, against the odds of the null hypothesis."""


def rate_above_log_e_value(events: float, trials: float, *, rate: float) -> float:
    """Log of the e-value against "the rate is at most this".

    A mean of likelihood ratios of higher rates; a martingale where the rate is the given one.

    Args:
        events: Events seen.
        trials: Trials seen.
        rate: The rate, more than 0 and less than 1.
    """
    return _mixture(events, trials, rate, _FACTORS)


def upper_rate(events: float, trials: float, *, alpha: float) -> float:
    """A rate that the true one exceeds with probability `alpha` at most, whenever it is looked at.

    Args:
        events: Events seen.
        trials: Trials seen.
        alpha: Probability of error.
    """
    if trials <= 0:
        return 1.0
    low, high = min(events / trials, 1.0 - 1e-12), 1.0 - 1e-12
    wanted, factors = math.log(1 / alpha), [1 / factor for factor in _FACTORS]
    for _ in range(60):
        middle = (low + high) / 2
        if middle > 0 and _mixture(events, trials, middle, factors) >= wanted:
            high = middle
        else:
            low = middle
    return high


def _mixture(events: float, trials: float, rate: float, factors: Sequence[float]) -> float:
    odds = rate / (1 - rate)
    logs = []
    for factor in factors:
        other = factor * odds / (1 + factor * odds)
        logs.append(events * math.log(other / rate) + (trials - events) * (math.log1p(-other) - math.log1p(-rate)))
    largest = max(logs)
    return largest + math.log(sum(math.exp(log - largest) for log in logs) / len(logs))
