"""ArmCount: how many requests an arm had, how many failed, and how long they took."""

from bisect import bisect_left

import msgspec

LATENCY_BOUNDS_MS = tuple(0.1 * 1.1**step for step in range(146))
"""Upper bounds of the bins of latencies in milliseconds, each 10 % above the one before; from 0.1 ms to 100 s."""
NUM_LATENCY_BINS = len(LATENCY_BOUNDS_MS) + 1


class ArmCount(msgspec.Struct, kw_only=True, gc=False):
    """Requests of one arm, as one worker counted them since it said so last.

    Attributes:
        time: When they were counted, Unix seconds.
        experiment: Id of the experiment.
        worker: The worker: unique, also among those of other servers.
        arm: The arm that was chosen.
        version: Version that the arm had.
        probability: Probability with which it was chosen.
        requests: Requests.
        failures: Of these, those that the arm failed to answer.
        degraded: Of these, those that another answered for it.
        latencies: Answered requests per bin of `LATENCY_BOUNDS_MS`; the last bin has no bound. Bins at the end that
            are empty may be missing.
    """

    time: float
    experiment: str
    worker: str
    arm: str
    version: int | None
    probability: float
    requests: int
    failures: int
    degraded: int
    latencies: list[int]


def latency_bin(milliseconds: float) -> int:
    """Bin of a latency, from 0 to `NUM_LATENCY_BINS` - 1.

    Args:
        milliseconds: The latency.
    """
    return bisect_left(LATENCY_BOUNDS_MS, milliseconds)


def summed_latencies(first: list[int], second: list[int]) -> list[int]:
    """Sum of two lists of bins, which may differ in length.

    Args:
        first: One.
        second: The other.
    """
    if len(first) < len(second):
        first, second = second, first
    return [*map(int.__add__, first, second), *first[len(second) :]]
