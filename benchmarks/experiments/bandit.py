"""Bandits on simulated rewards: what they lose against the best arm, beside an even split and epsilon-greedy."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np

from benchmarks.experiments.simulated_bandits import (
    Array,
    EpsilonGreedy,
    EvenSplit,
    LinearPlayer,
    Player,
    Problem,
    Rows,
    ThompsonPlayer,
    regret,
)
from benchmarks.page import table, verdict
from lightning_app.serving.config.experiment_config import Linear, Thompson

RATES = (0.04, 0.05, 0.06)
_EPSILONS = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
_FIRST_SEED = 10_000
"""Not those with which the defaults of the policy were chosen."""
_EVEN, _BEST, _OURS = 0.5, 1.15, "Thompson, as shipped"


def fixed(means: tuple[float, ...], generator: np.random.Generator, count: int) -> tuple[Array, Rows]:
    """Arms that stay as they are."""
    return np.tile(means, (count, 1)), [{}] * count


def turned(means: tuple[float, ...], generator: np.random.Generator, count: int) -> tuple[Array, Rows]:
    """Arms whose order is turned round after half of the requests."""
    return np.concatenate([np.tile(means, (count // 2, 1)), np.tile(means[::-1], (count - count // 2, 1))]), [
        {}
    ] * count


def by_columns(generator: np.random.Generator, count: int) -> tuple[Array, Rows]:
    """Three arms, each the best one for a part of the requests; two columns of four matter."""
    inputs = generator.standard_normal((count, 4))
    scores = np.stack([0.05 + 0 * inputs[:, 0], 0.05 + 0.03 * inputs[:, 0], 0.05 - 0.02 * inputs[:, 1]], axis=1)
    rows = [dict(zip("abcd", values, strict=True)) for values in inputs.tolist()]
    return np.clip(scores, 0, 1), rows


ISSUE = Problem(means=partial(fixed, RATES))
CONTINUOUS = Problem(means=partial(fixed, (0.45, 0.47, 0.5)), kind="continuous", num_requests=5_000, delay=250)
TURNED = Problem(means=partial(turned, RATES), num_requests=40_000)
COLUMNS = Problem(means=by_columns)


SHIPPED = Thompson()
Players = dict[str, Callable[[], Player]]


@dataclass(frozen=True)
class Measured:
    """Regret of a player in many runs."""

    name: str
    regrets: Array

    @property
    def mean(self) -> float:
        return float(self.regrets.mean())

    def row(self, even: Array) -> str:
        """Row of a table: mean with 95 % interval, median, 95 % quantile, ratio to the even split."""
        spread = 1.96 * self.regrets.std(ddof=1) / len(self.regrets) ** 0.5
        return (
            f"{self.name}|{self.mean:.1f} ± {spread:.1f}|{np.median(self.regrets):.1f}|"
            f"{np.quantile(self.regrets, 0.95):.1f}|{self.mean / even.mean():.2f}"
        )


def measure(problem: Problem, players: Players, runs: int) -> dict[str, Measured]:
    """Regrets of players on one problem, all with the same luck.

    Args:
        problem: The problem.
        players: Makes each player anew for each run.
        runs: Number of runs.
    """
    with get_context("fork").Pool(2) as pool:
        return {
            name: Measured(
                name, np.array(pool.map(partial(_run, problem, make), range(_FIRST_SEED, _FIRST_SEED + runs)))
            )
            for name, make in players.items()
        }


def ratio(ours: Array, theirs: Array) -> tuple[float, float, float]:
    """Ratio of two mean regrets, with a 95 % interval by bootstrap over the runs.

    Args:
        ours: Regrets of one.
        theirs: Regrets of the other, in the same runs.
    """
    picks = np.random.default_rng(0).integers(0, len(ours), (2000, len(ours)))
    ratios = ours[picks].mean(axis=1) / theirs[picks].mean(axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(ours.mean() / theirs.mean()), float(low), float(high)


def thompson(problem: Problem, config: Thompson = SHIPPED) -> Callable[[], Player]:
    """Makes Thompson players of a configuration."""
    return partial(ThompsonPlayer, 3, config, problem.kind)


def greedy() -> Players:
    """Makes epsilon-greedy players, one for each epsilon."""
    return {f"epsilon-greedy, {epsilon:g}": partial(EpsilonGreedy, 3, epsilon) for epsilon in _EPSILONS}


def bandit_regret(runs: int = 200) -> str:
    """Three arms with rates of 0.04, 0.05 and 0.06."""
    players: Players = {
        "even split": partial(EvenSplit, 3),
        **greedy(),
        _OURS: thompson(ISSUE),
        "Thompson, floor 0": thompson(ISSUE, Thompson(floor=0.0)),
        "Thompson, floor 0.05": thompson(ISSUE, Thompson(floor=0.05)),
        "Thompson, sharpness 1": thompson(ISSUE, Thompson(sharpness=1.0)),
        "Thompson, sharpness 1, floor 0": thompson(ISSUE, Thompson(sharpness=1.0, floor=0.0)),
    }
    measured = measure(ISSUE, players, runs)
    even, ours = measured["even split"].regrets, measured[_OURS].regrets
    best = min((each for name, each in measured.items() if name.startswith("epsilon")), key=lambda each: each.mean)
    of_even, of_best = ratio(ours, even), ratio(ours, best.regrets)
    return (
        f"{runs} runs of 20,000 requests, arms with rates of 0.04, 0.05 and 0.06; a reward is known 1,000 requests later, "
        "and shares are decided every 100 requests by the code of the server. Regret: rewards lost against the best arm, "
        "in expectation. All players have the same luck in each run; the epsilon that is best in hindsight is what "
        "epsilon-greedy is allowed.\n\n"
        + table("|mean ± 95 %|median|95 % quantile|of the even split", *(each.row(even) for each in measured.values()))
        + "\n\n"
        + table(
            "|aim|measured|95 % interval|",
            f"of the even split|<= {_EVEN}x|{of_even[0]:.2f}x|{of_even[1]:.2f} to {of_even[2]:.2f}|"
            f"{verdict(of_even[0] <= _EVEN)}",
            f"of {best.name}|<= {_BEST}x|{of_best[0]:.2f}x|{of_best[1]:.2f} to {of_best[2]:.2f}|"
            f"{verdict(of_best[0] <= _BEST)}",
        )
    )


def bandit_others(runs: int = 100) -> str:
    """Continuous rewards, arms that change, and arms that are good for different requests."""
    parts: list[tuple[str, Problem, Players, int]] = [
        (
            "Continuous rewards, means 0.45, 0.47 and 0.5, deviation 0.2; 5,000 requests, known 250 later.",
            CONTINUOUS,
            {**greedy(), _OURS: thompson(CONTINUOUS)},
            runs,
        ),
        (
            "Rates of 0.04, 0.05, 0.06 that are turned round after 20,000 of 40,000 requests.",
            TURNED,
            {
                _OURS: thompson(TURNED),
                "Thompson, half-life 10,000": thompson(TURNED, Thompson(half_life_seconds=10_000.0)),
                "Thompson, half-life 4,000": thompson(TURNED, Thompson(half_life_seconds=4_000.0)),
            },
            runs,
        ),
        (
            "The same without the turn, 40,000 requests: what forgetting costs.",
            Problem(means=partial(fixed, RATES), num_requests=40_000),
            {
                _OURS: thompson(ISSUE),
                "Thompson, half-life 10,000": thompson(ISSUE, Thompson(half_life_seconds=10_000.0)),
                "Thompson, half-life 4,000": thompson(ISSUE, Thompson(half_life_seconds=4_000.0)),
            },
            runs,
        ),
        (
            "Rates of 0.05, 0.05 + 0.03 a and 0.05 - 0.02 b, for columns a, b, c, d of each request.",
            COLUMNS,
            {
                _OURS: thompson(COLUMNS),
                "linear, as shipped": partial(LinearPlayer, 3, Linear(columns=list("abcd"))),
            },
            max(runs // 5, 2),
        ),
    ]
    texts = []
    for title, problem, players, count in parts:
        measured = measure(problem, {"even split": partial(EvenSplit, 3), **players}, count)
        even = measured["even split"].regrets
        greedies = [each for name, each in measured.items() if name.startswith("epsilon")]
        worse = set() if not greedies else {each.name for each in greedies} - {min(greedies, key=_mean).name}
        rows = [each.row(even) for each in measured.values() if each.name not in worse]
        texts.append(f"{title} {count} runs.\n\n" + table("|mean ± 95 %|median|95 % quantile|of the even split", *rows))
    return "\n\n".join(texts)


def _mean(measured: Measured) -> float:
    return measured.mean


def _run(problem: Problem, make: Callable[[], Player], seed: int) -> float:
    return regret(problem, make(), seed)


SECTIONS: dict[str, Callable[[], str]] = {"bandit_regret": bandit_regret, "bandit_others": bandit_others}
