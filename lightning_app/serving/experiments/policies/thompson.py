"""Thompson sampling as probability matching: each arm answers as often as it is likely to be the best one."""

import math
from collections.abc import Collection, Mapping
from typing import Literal

from lightning_app.serving.experiments.policies.arm_statistics import ArmStatistics
from lightning_app.serving.experiments.policies.best_arm import probability_best, with_floor
from lightning_app.serving.experiments.policies.posteriors import Posterior, beta_posterior, student_posterior

GRID = 1024
"""Shares are multiples of 1/1024: exact as floating point numbers, in layouts, in the journal and in sums of both."""


def thompson_probabilities(
    statistics: Mapping[str, ArmStatistics],
    *,
    kind: Literal["binary", "continuous"],
    floor: float,
    sharpness: float,
    stopped: Collection[str] = (),
) -> dict[str, float]:
    """Probability of each arm: that it is the best one by what is known, and no less than a floor.

    An arm without rewards has its prior, so it is tried until enough is known of it.

    Args:
        statistics: Rewards by arm; all arms.
        kind: What rewards are.
        floor: Least probability of an arm that is not stopped.
        sharpness: How often each reward is counted; above 1, arms that look worse are tried less (Chapelle and Li,
            "An empirical evaluation of Thompson sampling", 2011, section 3).
        stopped: Arms that get nothing.

    Returns:
        Probability by arm, in the order of `statistics`; they sum to 1.

    Raises:
        ValueError: All arms are stopped.
    """
    running = [arm for arm in statistics if arm not in stopped]
    if not running:
        raise ValueError(f"all arms are stopped: {', '.join(statistics)}; let one run")
    posterior = beta_posterior if kind == "binary" else student_posterior
    posteriors: list[Posterior] = [posterior(statistics[arm].weighted(sharpness)) for arm in running]
    best = dict(zip(running, map(float, probability_best(posteriors)), strict=True))
    return dict.fromkeys(statistics, 0.0) | with_floor(best, min(floor, 1 / len(running)))


def on_grid(probabilities: Mapping[str, float], *, floor: float, stopped: Collection[str] = ()) -> dict[str, float]:
    """Shares that are multiples of 1/1024 and sum to 1 exactly; largest remainders, the first arm of equal ones.

    Args:
        probabilities: Probability by arm; they sum to 1.
        floor: Least share of an arm that is not stopped; what it lacks to a multiple is added, if that is there.
        stopped: Arms that get nothing.
    """
    running = [arm for arm in probabilities if arm not in stopped]
    least = min(math.ceil(floor * GRID), GRID // len(running))
    wanted = {arm: max(probabilities[arm] * GRID, least) for arm in running}
    units = {arm: math.floor(value) for arm, value in wanted.items()}
    left = GRID - sum(units.values())
    for arm in sorted(running, key=lambda arm: units[arm] - wanted[arm])[: max(left, 0)]:
        units[arm] += 1
    for _ in range(-left):  # the floor was rounded up for many arms
        units[max(running, key=lambda arm: units[arm])] -= 1
    return {arm: units.get(arm, 0) / GRID for arm in probabilities}
