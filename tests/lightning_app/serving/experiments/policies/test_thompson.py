"""Thompson sampling: its probabilities are those of a bandit, for all statistics."""

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from lightning_app.serving.config.experiment_config import RewardConfig
from lightning_app.serving.experiments.policies.arm_statistics import ArmStatistics, fading, scaled
from lightning_app.serving.experiments.policies.best_arm import probability_best
from lightning_app.serving.experiments.policies.posteriors import BetaPosterior, StudentPosterior
from lightning_app.serving.experiments.policies.thompson import GRID, on_grid, thompson_probabilities

BINARY = {"kind": "binary", "sharpness": 1.0}
counts = st.integers(0, 200_000)


def binary(ones: float, zeros: float) -> ArmStatistics:
    return ArmStatistics(weight=ones + zeros, total=ones, squares=ones)


arms = st.lists(st.builds(binary, counts, counts), min_size=2, max_size=5)
rewards = st.lists(st.floats(0, 1), max_size=30)


def continuous(values: list[float]) -> ArmStatistics:
    return ArmStatistics(weight=len(values), total=sum(values), squares=sum(value**2 for value in values))


def named(statistics: list[ArmStatistics]) -> dict[str, ArmStatistics]:
    return {f"arm-{number}": each for number, each in enumerate(statistics)}


@pytest.mark.parametrize(
    "posteriors",
    [
        [(1, 1), (1, 1), (1, 1)],
        [(41, 961), (51, 951), (61, 941)],
        [(1, 1), (401, 9601), (3, 2)],
        [(1e6, 1e7), (1.0005e6, 1e7), (1, 2)],
        [(300.5, 2.2), (1, 1), (50, 1)],
    ],
)
def test_quadrature_equals_that_of_scipy(posteriors):
    distributions = [stats.beta(*each) for each in posteriors]
    found = probability_best([BetaPosterior(*each) for each in posteriors])
    assert found == pytest.approx(by_scipy(distributions), abs=1e-7)


def test_quadrature_of_long_tails_equals_that_of_scipy():
    posteriors = [(0.5, 0.2, 2.0), (0.6, 0.1, 2.5), (0.55, 0.001, 1000.0)]
    distributions = [stats.t(freedom, mean, scale) for mean, scale, freedom in posteriors]
    found = probability_best([StudentPosterior(*each) for each in posteriors])
    assert found == pytest.approx(by_scipy(distributions), abs=1e-7)


def by_scipy(distributions) -> list[float]:
    tails = [1e-12, 1e-6, 1e-3, 0.1, 0.5, 0.9, 0.999, 1 - 1e-6, 1 - 1e-12]
    places = np.unique(np.concatenate([each.ppf(tails) for each in distributions]))
    best = []
    for arm in distributions:
        others = [each for each in distributions if each is not arm]

        def density(x, arm=arm, others=others):
            return arm.pdf(x) * np.prod([other.cdf(x) for other in others])

        parts = pairwise(places)
        best.append(sum(integrate.quad(density, *part, epsabs=1e-12, limit=200)[0] for part in parts))
    return best


@settings(max_examples=60, deadline=None)
@example(arms=[binary(0, 0)] * 5, floor=0.2, sharpness=1.0)
@given(arms=arms, floor=st.floats(0, 0.2), sharpness=st.floats(0.1, 10))
def test_probabilities_sum_to_one_and_respect_the_floor(arms, floor, sharpness):
    found = thompson_probabilities(named(arms), kind="binary", floor=floor, sharpness=sharpness)
    assert sum(found.values()) == pytest.approx(1, abs=1e-12)
    assert min(found.values()) >= floor - 1e-12
    shares = on_grid(found, floor=floor)
    assert sum(shares.values()) == 1
    assert all(share * GRID == int(share * GRID) for share in shares.values())
    assert min(shares.values()) >= min(floor, GRID // len(arms) / GRID)
    assert all(abs(shares[arm] - found[arm]) < (len(arms) + 1) / GRID for arm in found)


@settings(max_examples=40, deadline=None)
@given(arms=st.one_of(arms, st.lists(rewards.map(continuous), min_size=2, max_size=4)), seed=st.integers(0, 99))
def test_the_order_of_the_arms_does_not_matter(arms, seed):
    kind = "continuous" if any(each.squares != each.total for each in arms) else "binary"
    statistics = named(arms)
    shuffled = dict(random.Random(seed).sample(list(statistics.items()), len(statistics)))
    found = thompson_probabilities(statistics, kind=kind, floor=0.01, sharpness=2)
    assert thompson_probabilities(shuffled, kind=kind, floor=0.01, sharpness=2) == pytest.approx(found, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(arms=arms, more=st.integers(1, 1000))
def test_more_successes_never_lower_an_arm(arms, more):
    before = thompson_probabilities(named(arms), floor=0, **BINARY)
    first = arms[0]
    better = binary(first.total + more, first.weight - first.total)
    after = thompson_probabilities(named([better, *arms[1:]]), floor=0, **BINARY)
    assert after["arm-0"] >= before["arm-0"] - 1e-7
    worse = binary(first.total, first.weight - first.total + more)
    assert thompson_probabilities(named([worse, *arms[1:]]), floor=0, **BINARY)["arm-0"] <= before["arm-0"] + 1e-7


@settings(max_examples=40, deadline=None)
@given(freedom=st.floats(2, 1e4), second=rewards, more=st.floats(0, 0.4))
def test_a_larger_mean_never_lowers_an_arm(freedom, second, more):
    low = StudentPosterior(mean=0.3, scale=0.02, freedom=freedom)
    high = StudentPosterior(mean=0.3 + more, scale=0.02, freedom=freedom)
    other = StudentPosterior(mean=float(np.mean([0.5, *second])), scale=0.1, freedom=2.0 + len(second))
    assert probability_best([high, other])[0] >= probability_best([low, other])[0] - 1e-7


@pytest.mark.parametrize("kind", ["binary", "continuous"])
def test_an_arm_without_rewards_is_tried_and_a_stopped_one_is_not(kind):
    known = binary(500, 500)
    found = thompson_probabilities(
        {"old": known, "new": ArmStatistics(), "gone": known}, kind=kind, floor=0.01, sharpness=1, stopped={"gone"}
    )
    assert found["gone"] == 0
    assert found["new"] == pytest.approx(0.5, abs=0.02)
    with pytest.raises(ValueError, match="all arms are stopped: a; let one run"):
        thompson_probabilities({"a": known}, kind=kind, floor=0, sharpness=1, stopped={"a"})


@pytest.mark.parametrize("kind", ["binary", "continuous"])
def test_what_is_forgotten_whole_leaves_equal_arms_and_what_is_not_forgotten_leaves_all(kind):
    arms = named([binary(10, 9990), binary(9990, 10)])
    assert fading(5, None) == 1
    assert fading(10, 10) == 0.5
    assert fading(-3, 10) == 1  # a clock that is ahead
    gone = {name: each.weighted(fading(1e6, 10)) for name, each in arms.items()}
    assert thompson_probabilities(gone, kind=kind, floor=0, sharpness=1) == pytest.approx(
        {"arm-0": 0.5, "arm-1": 0.5}, abs=1e-9
    )
    kept = {name: each.weighted(fading(1e6, None)) for name, each in arms.items()}
    assert kept == arms


def test_forgetting_in_two_steps_is_forgetting_in_one():
    whole = binary(30, 10).weighted(fading(12, 7))
    twice = binary(30, 10).weighted(fading(5, 7)).weighted(fading(7, 7))
    assert (whole.weight, whole.total) == pytest.approx((twice.weight, twice.total))


def test_rewards_are_scaled_by_their_bounds():
    config = RewardConfig(kind="continuous", low=-5, high=15)
    assert scaled(0, config) == 0.25
    assert scaled(99, config) == 1


def test_shares_of_many_arms_keep_a_floor_that_is_as_large_as_it_can_be():
    probabilities = dict.fromkeys(map(str, range(30)), 1 / 30)
    shares = on_grid(probabilities, floor=1 / 30)
    assert sum(shares.values()) == 1
    assert min(shares.values()) == 34 / GRID
