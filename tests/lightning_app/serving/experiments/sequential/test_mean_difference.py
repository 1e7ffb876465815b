"""Confidence sequences of mean rewards hold at all looks, under drift over the steps too."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from lightning_app.serving.experiments.sequential.mean_difference import (
    MIN_REWARDS,
    Moments,
    StratumRewards,
    mean_difference,
)

STEPS = (0.01, 0.05, 0.25, 0.5)
ALPHA = 0.05
Draw = Callable[[np.random.Generator, int], npt.NDArray[np.float64]]
DRAWS: dict[str, Draw] = {
    "rare": lambda rng, count: (rng.random(count) < 0.05).astype(float),
    "even": lambda rng, count: (rng.random(count) < 0.5).astype(float),
    "skewed": lambda rng, count: rng.exponential(size=count),
    "skewed down": lambda rng, count: 3 - rng.exponential(size=count),
}


def moments(rewards: npt.NDArray[np.float64]) -> Moments:
    return Moments(len(rewards), float(rewards.sum()), float((rewards**2).sum()))


def added(one: Moments, other: Moments) -> Moments:
    return Moments(one.count + other.count, one.total + other.total, one.squares + other.squares)


@pytest.mark.parametrize("name", list(DRAWS))
def test_arms_alike_are_told_apart_with_at_most_alpha_although_each_step_has_another_level(name: str) -> None:
    rng = np.random.default_rng(2)
    worse = better = outside = 0
    runs = 100
    for _ in range(runs):
        done: list[StratumRewards] = []
        crossed = [False, False, False]
        for step in STEPS:
            level = 0.0 if name in ("rare", "even") else rng.normal(0, 0.5)
            current = StratumRewards(Moments(0, 0, 0), Moments(0, 0, 0))
            for _ in range(15):
                rewards, own = DRAWS[name](rng, 1000) + level, rng.random(1000) < step
                current = StratumRewards(
                    added(current.challenger, moments(rewards[own])), added(current.champion, moments(rewards[~own]))
                )
                found = mean_difference([*done, current])
                low, high = found.interval(alpha=ALPHA, effect=0.03)
                crossed[0] |= found.log_e_value(effect=0.03, above=False) >= -math.log(ALPHA)
                crossed[1] |= found.log_e_value(effect=0.03, above=True) >= -math.log(ALPHA)
                crossed[2] |= not low <= 0 <= high
            done.append(current)
        worse, better, outside = worse + crossed[0], better + crossed[1], outside + crossed[2]
    assert worse <= ALPHA * runs
    assert better <= ALPHA * runs
    assert outside <= ALPHA * runs


def test_a_challenger_that_is_worse_or_keeps_its_reward_is_seen() -> None:
    rng = np.random.default_rng(0)
    worse, alike, champion = (moments(rng.exponential(mean, size=200_000)) for mean in (0.95, 1.0, 1.0))
    kept = mean_difference([StratumRewards(worse, champion)], factor=0.97)
    assert kept.log_e_value(effect=0.03, above=False) > math.log(20)
    assert kept.log_e_value(effect=0.03, above=True) < 0
    kept = mean_difference([StratumRewards(alike, champion)], factor=0.97)
    assert kept.log_e_value(effect=0.03, above=True) > math.log(20)
    low, high = mean_difference([StratumRewards(worse, champion)]).interval(alpha=0.05, effect=0.03)
    assert low < -0.05 < high < 0


def test_a_level_that_drifts_over_the_steps_is_no_difference_between_the_arms() -> None:
    """The plain means differ by half: most of the challenger's rewards come from the better step."""
    early = StratumRewards(Moments(100, 100, 125), Moments(9_900, 9_900, 12_375))
    late = StratumRewards(Moments(5_000, 10_000, 21_250), Moments(5_000, 10_000, 21_250))
    found = mean_difference([early, late])
    assert found.estimate == 0.0
    assert (10_100 / 5_100) - (19_900 / 14_900) > 0.5


def test_few_rewards_say_nothing_yet() -> None:
    few = StratumRewards(Moments(MIN_REWARDS - 1, 0, 0), Moments(10_000, 10_000, 10_000))
    found = mean_difference([few])
    assert found.log_e_value(effect=0.01, above=False) == 0.0
    assert found.interval(alpha=0.05, effect=0.01) == (-math.inf, math.inf)
    assert math.isnan(mean_difference([]).estimate)
