"""Effort of a section: how long and how often it measures."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """How long and how often a section measures.

    Attributes:
        rounds: How often each server is started and measured, in turn.
        seconds: Length of a measurement.
        warm_up: Seconds of load before it.
        rate: Requests per second of a load that is paced.
        requests: Numbers of requests after which memory is read.
        starts: How often the time until ready is measured.
        kills: How often a worker is killed.
        reloads: How often a model is reloaded.
        soak_seconds: Length of a soak.
    """

    rounds: int
    seconds: float
    warm_up: float
    rate: float
    requests: tuple[int, ...]
    starts: int
    kills: int
    reloads: int
    soak_seconds: float = 1200


FULL = Effort(
    rounds=3, seconds=10, warm_up=3, rate=1_000, requests=(100_000, 1_000_000), starts=10, kills=50, reloads=100
)
QUICK = Effort(rounds=1, seconds=1, warm_up=0, rate=50, requests=(100,), starts=1, kills=1, reloads=2, soak_seconds=90)
"""Proves that a section runs; its numbers mean nothing."""
