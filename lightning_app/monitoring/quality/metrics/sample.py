"""Sample: weighted points in clusters, and confidence sequences of what is computed from them.

A metric is a value and the influence of each point on it: `metric - truth` is about the weighted mean of the influences.
Points of an entity, or of a request, belong together, so the variance is that of the sums of clusters. The confidence
sequence is the asymptotic one of Waudby-Smith et al. (2024): it holds at all times at which one looks while outcomes
come in, not once.
"""

import math

import numpy as np
from msgspec import Struct

from lightning_app.drift.answers.flat import Array, Integers
from lightning_app.monitoring.quality.delays import DelayNoise
from lightning_app.monitoring.report.structs import MetricEstimate
from lightning_app.serving.experiments.analysis.statistics.distributions import student_quantile
from lightning_app.serving.experiments.analysis.statistics.effects import sequence_radius

TIGHTEST_AT = 500.0
"""Number of clusters at which confidence sequences are tightest."""
_NORMAL = 1.959963984540054


class Influence(Struct, frozen=True, kw_only=True):
    """A metric of a sample, and the part of each point in its error.

    Attributes:
        value: The metric.
        psi: Influence of each point, (P,); its weighted mean is 0.
        rows: Points that decide: of a recall, those of the class.
        bounds: Least and largest possible value.
        bias: How much larger than the truth the value is expected to be, at most.
    """

    value: float
    psi: Array
    rows: int
    bounds: tuple[float, float] = (-math.inf, math.inf)
    bias: float = 0.0


class Sample(Struct, frozen=True, kw_only=True):
    """Points with an outcome.

    Attributes:
        weights: Of each point, (P,), positive.
        clusters: Number of the cluster of each point, int64 (P,); None if each is its own.
        delay_noise: What the weights are not sure of; None if all are 1.
    """

    weights: Array
    clusters: Integers | None = None
    delay_noise: DelayNoise | None = None

    @property
    def effective(self) -> float:
        """Number of clusters of equal weight that are worth as much."""
        sums = self._sums(np.ones_like(self.weights))
        return float(sums.sum() ** 2 / np.square(sums).sum()) if len(sums) else 0.0

    def standard_error(self, psi: Array) -> float:
        """Standard error of a metric, robust to dependence within clusters.

        Args:
            psi: Influence of each point, (P,).
        """
        sums = self._sums(psi)
        count = int(np.count_nonzero(self._sums(np.ones_like(self.weights)))) if self.clusters is not None else len(psi)
        total = self.weights.sum()
        variance = float(np.square(sums).sum()) / total**2 * count / max(count - 1, 1)
        if self.delay_noise is not None:
            variance += self.delay_noise.variance(self.weights * psi / total)
        return math.sqrt(variance)

    def estimate(self, name: str, better: str | None, found: Influence, *, alpha: float, least: int) -> MetricEstimate:
        """A metric with its confidence sequence.

        Args:
            name: Of the metric.
            better: `lower` or `higher`; None for neither.
            found: Its value and influences.
            alpha: Probability that the sequence ever misses the truth.
            least: Points below which nothing is said.
        """
        direction = better if better in ("lower", "higher") else None
        if found.rows < least or not math.isfinite(found.value):
            return MetricEstimate(metric=name, better=direction, value=None, rows=found.rows)  # type: ignore[arg-type]
        share = found.rows / len(self.weights)
        effective = max(self.effective * share, 2.0)
        error = self.standard_error(found.psi)
        low, high = found.bounds
        if (low, high) == (0.0, 1.0):
            # All right so far is not certainly right: as if one more were wrong, and one right.
            shrunk = (found.value * effective + 1) / (effective + 2)
            error = max(error, math.sqrt(shrunk * (1 - shrunk) / effective))
        error *= student_quantile(0.975, max(effective - 1, 1.0)) / _NORMAL
        radius = float(
            sequence_radius(np.array([error]), np.array([effective]), alpha=alpha, tightest_at=TIGHTEST_AT)[0]
        )
        return MetricEstimate(
            metric=name, better=direction, value=found.value, rows=found.rows,  # type: ignore[arg-type]
            low=max(low, found.value - found.bias - radius), high=min(high, found.value + radius),
        )  # fmt: skip

    def _sums(self, psi: Array) -> Array:
        values = self.weights * psi
        return values if self.clusters is None else np.bincount(self.clusters, values)


def mean_influence(values: Array, weights: Array, **bounds: tuple[float, float]) -> Influence:
    """The weighted mean of values.

    Args:
        values: (P,).
        weights: (P,).
        bounds: As of `Influence`.
    """
    mean = float(np.average(values, weights=weights))
    return Influence(value=mean, psi=values - mean, rows=len(values), **bounds)


def ratio_influence(top: Array, bottom: Array, weights: Array, *, rows: int) -> Influence:
    """The ratio of two weighted sums, in [0, 1].

    Args:
        top: (P,).
        bottom: (P,).
        weights: (P,).
        rows: Points of which the bottom is not 0.
    """
    below = float((weights * bottom).sum())
    if below <= 0:
        return Influence(value=math.nan, psi=np.zeros_like(top), rows=rows)
    value = float((weights * top).sum()) / below
    return Influence(value=value, psi=(top - value * bottom) * (weights.sum() / below), rows=rows, bounds=(0.0, 1.0))
