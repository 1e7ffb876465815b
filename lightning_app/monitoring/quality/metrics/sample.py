"""Sample: weighted points in clusters, and confidence sequences of what is computed from them.

A metric is a value and the influence of each point on it: `metric - truth` is about the weighted mean of the
influences. Points of an entity, or of a request, belong together, so the variance is that of the sums of clusters. The
confidence sequence is the asymptotic one of Waudby-Smith et al. (2024): it holds at all times at which one looks while
outcomes come in, not once.
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
FEWEST_CLUSTERS = 2.0
"""Clusters of equal weight below which no interval is given."""
_NORMAL = 1.959963984540054
_MANY = 200
"""Clusters from which Student's distribution is the normal one."""


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
        """A metric with its confidence sequence; without one where a single cluster has most of the weight.

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
        if self.effective < FEWEST_CLUSTERS:  # nothing says how far requests differ from each other
            return MetricEstimate(metric=name, better=direction, value=found.value, rows=found.rows)  # type: ignore[arg-type]
        share = found.rows / len(self.weights)
        effective = max(self.effective * share, 2.0)
        error = self.standard_error(found.psi)
        if effective < _MANY:
            error *= student_quantile(0.975, max(effective - 1, 1.0)) / _NORMAL
        unit = float(sequence_radius(np.ones(1), np.array([effective]), alpha=alpha, tightest_at=TIGHTEST_AT)[0])
        low, high = found.value - unit * error, found.value + unit * error
        if found.bounds == (0.0, 1.0):
            low, high = _of_share(found.value, error, effective, unit)
        elif found.bounds == (0.0, math.inf) and found.value > 0:
            # Losses are skewed: what is not seen yet is large, so the interval is symmetric for their logarithm.
            ratio = math.exp(min(unit * error / found.value, 700.0))
            low, high = found.value / ratio, found.value * ratio
        return MetricEstimate(
            metric=name, better=direction, value=found.value, rows=found.rows,  # type: ignore[arg-type]
            low=max(found.bounds[0], low - found.bias), high=min(found.bounds[1], high),
        )  # fmt: skip

    def _sums(self, psi: Array) -> Array:
        values = self.weights * psi
        return values if self.clusters is None else np.bincount(self.clusters, values).astype(np.float64)


def _of_share(value: float, error: float, count: float, unit: float) -> tuple[float, float]:
    """Interval of a value in [0, 1] whose variance depends on it, as Wilson's: all shares that would give such a value.

    All right so far is not certainly right.
    """
    spread = value * (1 - value)
    ratio = unit**2 * (error**2 / spread if spread > 0 and error > 0 else 1 / count)
    middle = (value + ratio / 2) / (1 + ratio)
    half = math.sqrt(ratio * spread + ratio**2 / 4) / (1 + ratio)
    return middle - half, middle + half


def mean_influence(values: Array, weights: Array, *, bounds: tuple[float, float] = (-math.inf, math.inf)) -> Influence:
    """The weighted mean of values.

    Args:
        values: (P,).
        weights: (P,).
        bounds: As of `Influence`.
    """
    mean = float(np.average(values, weights=weights))
    return Influence(value=mean, psi=values - mean, rows=len(values), bounds=bounds)


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
