"""Simulated traffic of a canary: counts per tick with heavy-tailed latencies, failures, drift and late rewards.

Both arms live in the same world: load and rewards drift over the day. The challenger differs by three factors.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from lightning_app.serving.config.experiment_config import CanaryConfig
from lightning_app.serving.experiments.canary.decide import Look, decide, share_of
from lightning_app.serving.experiments.canary.evidence import CHALLENGER, CHAMPION, ArmTotals, Evidence
from lightning_app.serving.experiments.canary.facts import event_of
from lightning_app.serving.experiments.canary.state import CanaryState
from lightning_app.serving.experiments.sequential.mean_difference import Moments
from lightning_app.serving.journal.arm_count import LATENCY_BOUNDS_MS

_DAY = 86_400.0
_LOADS = 1 + 0.15 * np.linspace(-1, 1, 31)
"""How much slower all answers are at different loads."""


@dataclass(frozen=True)
class World:
    """What both arms meet.

    Attributes:
        requests_per_second: Mean traffic.
        errors: Rate of failures of the champion.
        median_ms: Median latency of the champion.
        spread: Standard deviation of the log of most latencies.
        tail: Share of latencies that are three times as long, and spread twice as wide.
        mean_reward: Mean reward of the champion.
        reward_deviation: Standard deviation of a reward.
        answered: Share of requests for which a reward comes.
        delay_seconds: How late it comes.
    """

    requests_per_second: float = 100.0
    errors: float = 0.001
    median_ms: float = 8.0
    spread: float = 0.4
    tail: float = 0.05
    mean_reward: float = 1.0
    reward_deviation: float = 1.0
    answered: float = 0.9
    delay_seconds: float = 60.0


@dataclass(frozen=True)
class Challenger:
    """How a challenger differs.

    Attributes:
        errors: Its rate of failures; None for that of the champion.
        latency: Its latencies over those of the champion.
        reward: Its mean reward over that of the champion.
    """

    errors: float | None = None
    latency: float = 1.0
    reward: float = 1.0


@dataclass
class Outcome:
    """A canary that has ended.

    Attributes:
        look: The last look.
        seconds: How long it took.
        challenger_requests: Requests that the challenger saw.
        requests: Requests of both.
        events: What a server would have recorded: time, kind, facts.
    """

    look: Look
    seconds: float
    challenger_requests: int
    requests: int
    events: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)


@dataclass
class _Totals:
    requests: int
    failures: int
    latencies: npt.NDArray[np.int64]


def simulate(
    config: CanaryConfig, world: World, challenger: Challenger, *, seed: int, tick_seconds: float = 5.0
) -> Outcome:
    """Runs a canary to its end.

    Args:
        config: Of the canary.
        world: What both arms meet.
        challenger: How the challenger differs.
        seed: Of all draws.
        tick_seconds: Time between two looks.
    """
    rng = np.random.default_rng(seed)
    phase = rng.random()
    tables = {
        arm: np.array([_bins(world, load * factor) for load in _LOADS])
        for arm, factor in ((CHAMPION, 1.0), (CHALLENGER, challenger.latency))
    }
    errors = {CHAMPION: world.errors, CHALLENGER: world.errors if challenger.errors is None else challenger.errors}
    state = CanaryState(
        model="m", registered="m", version=2, digest="b", champion=1, champion_digest="a", started=0.0, step_started=0.0
    )
    totals: dict[tuple[str, float], _Totals] = {}
    rewards: dict[tuple[str, float], list[float]] = {}
    late: list[tuple[float, tuple[str, float], list[float]]] = []
    events: list[tuple[float, str, dict[str, Any]]] = []
    now = 0.0
    while True:
        share = share_of(config, state)
        day = math.sin(2 * math.pi * (now / _DAY + phase))
        load = round(15 + 12 * day + rng.uniform(-3, 3))
        level = world.mean_reward * (1 + 0.2 * day)
        count = rng.poisson(world.requests_per_second * tick_seconds * (1 + 0.3 * day))
        own = rng.binomial(count, share)
        for arm, requests, probability in ((CHALLENGER, own, share), (CHAMPION, count - own, 1 - share)):
            if not requests:
                continue
            failures = rng.binomial(requests, errors[arm])
            part = totals.setdefault(
                (arm, probability), _Totals(0, 0, np.zeros(len(LATENCY_BOUNDS_MS) + 1, dtype=np.int64))
            )
            part.requests += requests
            part.failures += failures
            part.latencies += rng.multinomial(requests - failures, tables[arm][load])
            answered = rng.binomial(requests - failures, world.answered)
            mean = level * (challenger.reward if arm == CHALLENGER else 1.0)
            late.append((now + world.delay_seconds, (arm, probability), _moments(rng, answered, mean, world)))
        now += tick_seconds
        while late and late[0][0] <= now:
            _, key, moments = late.pop(0)
            rewards[key] = [one + other for one, other in zip(rewards.get(key, [0, 0, 0]), moments, strict=True)]
        evidence = Evidence(
            requests={
                key: ArmTotals(part.requests, part.failures, part.latencies.tolist()) for key, part in totals.items()
            },
            bounds=LATENCY_BOUNDS_MS,
            rewards={key: Moments(*moments) for key, moments in rewards.items()},
        )
        look = decide(config, state, evidence, now=now)
        before, state = state, look.state
        if (event := event_of(config, before, look, evidence, now=now)) is not None:
            state = replace(state, looked=now)
            events.append((now, *event))
        if state.verdict is not None:
            return Outcome(look, now, evidence.challenger_requests(), evidence.all_requests(), events)


def _moments(rng: np.random.Generator, count: int, mean: float, world: World) -> list[float]:
    """Number, sum and sum of squares of so many rewards, gamma-distributed: skewed, never negative."""
    if not count:
        return [0.0, 0.0, 0.0]
    shape = (mean / world.reward_deviation) ** 2
    draws = rng.gamma(shape, mean / shape, size=count)
    return [float(count), float(draws.sum()), float((draws**2).sum())]


def _bins(world: World, factor: float) -> npt.NDArray[np.float64]:
    """Probability of each bin of latencies."""
    centre = math.log(world.median_ms * factor)
    cumulative = np.array(
        [
            (1 - world.tail) * _normal((math.log(bound) - centre) / world.spread)
            + world.tail * _normal((math.log(bound) - centre - math.log(3)) / (2 * world.spread))
            for bound in LATENCY_BOUNDS_MS
        ]
    )
    return np.diff(np.concatenate([[0.0], cumulative, [1.0]]))


def _normal(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))
