"""Small simulations of the policies; the benchmark `bandit_regret` has the large ones."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.experiments.bandit import COLUMNS, CONTINUOUS, ISSUE, TURNED, greedy, thompson
from benchmarks.experiments.simulated_bandits import EvenSplit, LinearPlayer, Problem, regret
from lightning_app.serving.config.experiment_config import Linear, Thompson


def mean_regret(problem: Problem, make, runs: int) -> float:
    return float(np.mean([regret(problem, make(), seed) for seed in range(runs)]))


def even(problem: Problem, runs: int) -> float:
    return mean_regret(problem, lambda: EvenSplit(3), runs)


def test_thompson_loses_less_than_half_of_an_even_split_and_hardly_more_than_the_best_epsilon_greedy() -> None:
    runs = 6
    ours = mean_regret(ISSUE, thompson(ISSUE), runs)
    assert ours <= 0.5 * even(ISSUE, runs)
    assert ours <= 1.5 * min(mean_regret(ISSUE, make, runs) for make in greedy().values())


def test_continuous_rewards_are_learned_too() -> None:
    assert mean_regret(CONTINUOUS, thompson(CONTINUOUS), 4) <= 0.4 * even(CONTINUOUS, 4)


def test_forgetting_follows_arms_that_change() -> None:
    problem = replace(TURNED, interval=500)
    forgetting = thompson(problem, Thompson(half_life_seconds=5_000.0))
    assert mean_regret(problem, forgetting, 3) < mean_regret(problem, thompson(problem), 3)


@pytest.mark.slow
def test_a_linear_bandit_loses_less_than_one_that_does_not_look_at_the_request() -> None:
    linear = mean_regret(COLUMNS, lambda: LinearPlayer(3, Linear(columns=list("abcd"))), 3)
    assert linear < 0.6 * mean_regret(COLUMNS, thompson(COLUMNS), 3)
