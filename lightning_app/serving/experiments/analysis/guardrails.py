"""Guardrails: latency, failures and degraded answers of each arm, beside its rewards."""

import math

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lightning_app.serving.experiments.analysis.statistics.distributions import normal_cdf
from lightning_app.serving.experiments.store import ArmCounts
from lightning_app.serving.journal.arm_count import LATENCY_BOUNDS_MS, NUM_LATENCY_BINS
from lightning_app.serving.journal.stores.database import JournalDatabase

Array = NDArray[np.float64]
BOUNDS_MS = np.geomspace(0.01, 1e6, 1858)
"""Upper bounds of the classes of latencies that are read from predictions: 1 % wide."""


class Guardrail(Struct, frozen=True, kw_only=True):
    """Guardrail metrics of one arm.

    Attributes:
        arm: The arm.
        requests: Requests that it was chosen for.
        failures: Failed ones; None where only answered requests are known.
        degraded: Requests that another answered.
        latencies_ms: Quantiles of the latency by name, in milliseconds.
        failures_p_value: Whether its rate of failures differs from the control's, for one look; None without.
    """

    arm: str
    requests: int
    failures: int | None
    degraded: int
    latencies_ms: dict[str, float]
    failures_p_value: float | None = None


def latency_quantiles(counts: Array, bounds: Array) -> dict[str, float]:
    """Quantiles of classed latencies, interpolated on the logarithmic scale within a class.

    Args:
        counts: Number of requests up to each bound and above the one before, and above the last, (B + 1,).
        bounds: Upper bounds in milliseconds, (B,).
    """
    total = counts.sum()
    if not total:
        return {}
    edges = np.concatenate([[bounds[0] ** 2 / bounds[1]], bounds, [bounds[-1] ** 2 / bounds[-2]]])
    cumulative = np.cumsum(counts)
    quantiles = {}
    for name, level in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        place = int(np.searchsorted(cumulative, level * total))
        within = (level * total - (cumulative[place] - counts[place])) / counts[place]
        quantiles[name] = float(edges[place] * (edges[place + 1] / edges[place]) ** within)
    return quantiles


def classed(latencies: Array) -> Array:
    """Number of latencies in each class of `BOUNDS_MS`.

    Args:
        latencies: Milliseconds.
    """
    places = np.searchsorted(BOUNDS_MS, latencies)
    return np.bincount(places, minlength=len(BOUNDS_MS) + 1).astype(np.float64)


def rates_p_value(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Probability of rates that differ as much by chance, by the pooled test of two proportions.

    Args:
        first: Events and trials of one.
        second: Events and trials of the other.
    """
    (events, trials), (other_events, other_trials) = first, second
    if not trials or not other_trials:
        return 1.0
    pooled = (events + other_events) / (trials + other_trials)
    error = math.sqrt(pooled * (1 - pooled) * (1 / trials + 1 / other_trials))
    return 2 * normal_cdf(-abs(events / trials - other_events / other_trials) / error) if error else 1.0


def counted_guardrails(database: JournalDatabase, experiment: str, arms: list[str]) -> list[Guardrail]:
    """Guardrails from what workers counted of all requests, failed and unsampled ones included; empty without counts.

    Args:
        database: Database of the journal.
        experiment: Id of the experiment.
        arms: Names of the arms, control first.
    """
    requests, failures, degraded = (dict.fromkeys(arms, 0) for _ in range(3))
    latencies = {arm: np.zeros(NUM_LATENCY_BINS) for arm in arms}
    for (arm, _), counts in ArmCounts(database).totals(experiment).items():
        if arm in requests:
            requests[arm] += counts.requests
            failures[arm] += counts.failures
            degraded[arm] += counts.degraded
            latencies[arm] += counts.latencies
    if not any(requests.values()):
        return []
    control = (failures[arms[0]], requests[arms[0]])
    return [
        Guardrail(
            arm=arm, requests=requests[arm], failures=failures[arm], degraded=degraded[arm],
            latencies_ms=latency_quantiles(latencies[arm], np.array(LATENCY_BOUNDS_MS)),
            failures_p_value=None if arm == arms[0] else rates_p_value((failures[arm], requests[arm]), control),
        )
        for arm in arms
    ]  # fmt: skip
