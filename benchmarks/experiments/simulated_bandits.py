"""Simulated bandits: the policies of the server, and those that they are compared with, on the same random numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lightning_app.serving.config.experiment_config import Linear, RewardConfig, Thompson
from lightning_app.serving.experiments.policies.arm_statistics import ArmStatistics, fading
from lightning_app.serving.experiments.policies.linear_choice import LinearChoice
from lightning_app.serving.experiments.policies.linear_moments import no_moments
from lightning_app.serving.experiments.policies.linear_posterior import linear_state
from lightning_app.serving.experiments.policies.thompson import on_grid, thompson_probabilities

Array = NDArray[np.float64]
Rows = list[dict[str, float]]


@dataclass(frozen=True)
class Problem:
    """Arms whose rewards are known to the simulation alone.

    Attributes:
        means: Mean reward of each arm for each request, from its number and a generator: (requests, arms), and the
            columns of each request where there are any.
        kind: What rewards are.
        deviation: Standard deviation of continuous rewards, which are cut at 0 and 1.
        num_requests: Requests.
        delay: Requests until the reward of one is known.
        interval: Requests between two decisions.
    """

    means: Callable[[np.random.Generator, int], tuple[Array, Rows]]
    kind: str = "binary"
    deviation: float = 0.2
    num_requests: int = 20_000
    delay: int = 1_000
    interval: int = 100


class Player(Protocol):
    """Chooses arms."""

    def probabilities(self, rows: Rows, count: int) -> Array:
        """Probability of each arm for the next requests, (count, arms)."""

    def learn(self, arms: NDArray[np.int64], rewards: Array, rows: Rows, ages: Array) -> None:
        """Learns rewards that are new; `ages` in requests."""


def regret(problem: Problem, player: Player, seed: int) -> float:
    """What a player loses against the best arm of each request, in expected rewards.

    Args:
        problem: The problem.
        player: The player.
        seed: Seed; the same one means the same luck for every player.
    """
    generator = np.random.default_rng(seed)
    count = problem.num_requests
    means, rows = problem.means(generator, count)
    points, luck = generator.random(count), generator.random(means.shape)
    if problem.kind == "binary":
        rewards = (luck < means).astype(float)
    else:
        rewards = np.clip(means + problem.deviation * generator.standard_normal(means.shape), 0, 1)
    chosen = np.zeros(count, np.int64)
    known = 0
    for begin in range(0, count, problem.interval):
        end = min(begin + problem.interval, count)
        now = max(begin - problem.delay, 0)
        if now > known:
            part = slice(known, now)
            got = rewards[np.arange(known, now), chosen[part]]
            player.learn(chosen[part], got, rows[part], begin - np.arange(known, now, dtype=float))
            known = now
        ends = np.cumsum(player.probabilities(rows[begin:end], end - begin), axis=1)
        chosen[begin:end] = np.minimum((points[begin:end, None] >= ends).sum(axis=1), means.shape[1] - 1)
    return float((means.max(axis=1) - means[np.arange(count), chosen]).sum())


class EvenSplit:
    """All arms alike."""

    def __init__(self, num_arms: int) -> None:
        self._shares = np.full(num_arms, 1 / num_arms)

    def probabilities(self, rows: Rows, count: int) -> Array:
        return np.tile(self._shares, (count, 1))

    def learn(self, arms: NDArray[np.int64], rewards: Array, rows: Rows, ages: Array) -> None:
        pass


class EpsilonGreedy:
    """The arm with the best mean so far, but for a share of the requests that is spread over all arms."""

    def __init__(self, num_arms: int, epsilon: float) -> None:
        self._epsilon = epsilon
        self._counts, self._sums = np.zeros(num_arms), np.zeros(num_arms)

    def probabilities(self, rows: Rows, count: int) -> Array:
        means = np.where(self._counts > 0, self._sums / np.maximum(self._counts, 1), np.inf)
        best = means == means.max()
        shares = self._epsilon / len(means) + (1 - self._epsilon) * best / best.sum()
        return np.tile(shares, (count, 1))

    def learn(self, arms: NDArray[np.int64], rewards: Array, rows: Rows, ages: Array) -> None:
        self._counts += np.bincount(arms, minlength=len(self._counts))
        self._sums += np.bincount(arms, rewards, minlength=len(self._counts))


class ThompsonPlayer:
    """The server's Thompson sampling; a request takes a second."""

    def __init__(self, num_arms: int, config: Thompson, kind: str) -> None:
        self._config, self._reward = config, RewardConfig(kind="binary" if kind == "binary" else "continuous")
        self._statistics = {str(arm): ArmStatistics() for arm in range(num_arms)}
        self._learned_for = 0

    def probabilities(self, rows: Rows, count: int) -> Array:
        config = self._config
        half_life = config.half_life_seconds
        found = thompson_probabilities(
            self._statistics, kind=self._reward.kind, floor=config.floor, sharpness=config.sharpness
        )
        shares = on_grid(found, floor=config.floor)
        self._statistics = {arm: each.weighted(fading(count, half_life)) for arm, each in self._statistics.items()}
        return np.tile(list(shares.values()), (count, 1))

    def learn(self, arms: NDArray[np.int64], rewards: Array, rows: Rows, ages: Array) -> None:
        half_life = self._config.half_life_seconds
        weights = np.ones(len(ages)) if half_life is None else 0.5 ** (ages / half_life)
        for arm, each in self._statistics.items():
            mine = arms == int(arm)
            self._statistics[arm] = ArmStatistics(
                weight=each.weight + weights[mine].sum(),
                total=each.total + (weights * rewards)[mine].sum(),
                squares=each.squares + (weights * rewards**2)[mine].sum(),
            )


class LinearPlayer:
    """The server's linear bandit, with the choice of the worker."""

    def __init__(self, num_arms: int, config: Linear) -> None:
        self._config = config
        self._moments = no_moments(config.columns, [str(arm) for arm in range(num_arms)])

    def probabilities(self, rows: Rows, count: int) -> Array:
        state = linear_state(self._moments, floor=self._config.floor, num_draws=self._config.draws)
        choice = LinearChoice(state)
        return np.stack([choice.probabilities(row) for row in rows])

    def learn(self, arms: NDArray[np.int64], rewards: Array, rows: Rows, ages: Array) -> None:
        seen = zip(map(str, arms.tolist()), rows, rewards.tolist(), strict=True)
        self._moments.learn([(arm, row, reward, 1.0) for arm, row, reward in seen])
