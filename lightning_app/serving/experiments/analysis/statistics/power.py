"""Power: how many requests and days an experiment needs, for one look at the end and for a confidence sequence."""

import math

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lightning_app.serving.experiments.analysis.statistics.distributions import normal_quantile
from lightning_app.serving.experiments.analysis.statistics.effects import sequence_radius

_STEPS = 400
_LONGEST = 8.0
"""Simulated length, in units of the sample of a single look."""
_RUNS = 4000


class Plan(Struct, frozen=True, kw_only=True):
    """What an experiment needs.

    Attributes:
        baseline: Mean reward of the control.
        deviation: Standard deviation of the reward.
        effect: Least difference that is to be found.
        alpha: Probability to find a difference where there is none, for all arms together.
        power: Probability to find the difference.
        shares: Shares of the arms, control first.
        fixed: Requests by arm, for one look at the end.
        sequential: Requests by arm after which a confidence sequence has found the difference with the same power.
        expected: Mean number of requests of all arms until it does, where the difference is as given.
        expected_if_twice: The same where it is twice as large.
        days: Days for one look, with the power of a sequence, and expected; None without requests per day.
        waiting_days: Days that the last requests wait for their rewards.
    """

    baseline: float
    deviation: float
    effect: float
    alpha: float
    power: float
    shares: list[float]
    fixed: list[int]
    sequential: list[int]
    expected: int
    expected_if_twice: int
    days: dict[str, float] | None
    waiting_days: float


def plan(
    *,
    baseline: float,
    deviation: float,
    effect: float,
    alpha: float,
    power: float,
    shares: list[float],
    requests_per_day: float | None,
    within_seconds: float,
    is_rate: bool,
) -> Plan:
    """Plans an experiment; the arm with the smallest share decides.

    Args:
        baseline: Mean reward of the control.
        deviation: Standard deviation of the reward.
        effect: Least difference of an arm from the control.
        alpha: One minus the coverage, for all arms together (Bonferroni).
        power: Probability to find the difference.
        shares: Shares of the arms, control first.
        requests_per_day: Requests of all arms.
        within_seconds: How long rewards are waited for.
        is_rate: Whether rewards are 0 or 1, so that the arm's variance follows from its mean.
    """
    each_alpha = alpha / (len(shares) - 1)
    rate = baseline + effect
    variances = (deviation**2, rate * (1 - rate) if is_rate else deviation**2)
    spread = variances[0] / shares[0] + variances[1] / min(shares[1:])
    needed = (normal_quantile(1 - each_alpha / 2) + normal_quantile(power)) ** 2 * spread / effect**2
    times = stopping_times(each_alpha, power, drift=1.0)
    sequential = float(np.quantile(times, power)) * needed
    expected = float(times.mean()) * needed
    twice = float(stopping_times(each_alpha, power, drift=2.0).mean()) * needed
    days = None
    if requests_per_day:
        names = {"fixed": needed, "sequential": sequential, "expected": expected, "expected_if_twice": twice}
        days = {name: value / requests_per_day for name, value in names.items()}
    return Plan(
        baseline=baseline, deviation=deviation, effect=effect, alpha=alpha, power=power, shares=shares,
        fixed=[math.ceil(needed * share) for share in shares],
        sequential=[math.ceil(sequential * share) for share in shares],
        expected=math.ceil(expected), expected_if_twice=math.ceil(twice), days=days,
        waiting_days=within_seconds / 86_400,
    )  # fmt: skip


def stopping_times(alpha: float, power: float, *, drift: float, seed: int = 0) -> np.ndarray:
    """Simulated times at which a confidence sequence excludes 0, in units of the sample of a single look.

    The sequence is tightest at that sample. Runs that take longer than 8 times that count as 8.

    Args:
        alpha: One minus the coverage.
        power: Power of the single look.
        drift: True difference, in units of the one that the single look finds with this power.
        seed: Seed of the simulation.
    """
    grid: NDArray[np.float64] = np.arange(1.0, _STEPS + 1) * (_LONGEST / _STEPS)
    signal = drift * (normal_quantile(1 - alpha / 2) + normal_quantile(power))
    noise = np.random.default_rng(seed).standard_normal((_RUNS, _STEPS)) * math.sqrt(_LONGEST / _STEPS)
    paths = np.cumsum(noise, axis=1) + signal * grid
    bound = sequence_radius(np.sqrt(grid), grid, alpha=alpha, tightest_at=1.0)
    crossed = np.abs(paths) > bound
    first = np.where(crossed.any(axis=1), crossed.argmax(axis=1), _STEPS - 1)
    return np.asarray(grid[first])
