"""Expectation: a metric as it is expected from answers alone, and how far the measured one may be from it."""

import math
from typing import Literal

import numpy as np
from msgspec import Struct

from lightning_app.drift.answers.flat import Array, Integers
from lightning_app.monitoring.quality.metrics.sample import TIGHTEST_AT, Influence, Sample
from lightning_app.monitoring.report.structs import MetricEstimate
from lightning_app.serving.experiments.analysis.statistics.effects import sequence_radius


class Expectation(Struct, frozen=True, kw_only=True):
    """A metric that is expected.

    Attributes:
        influence: Its value, and how it depends on which points were answered.
        noise: Variance of the measured metric of these very points around it: outcomes are drawn.
        reference: Variance from held-out rows being few.
    """

    influence: Influence
    noise: float
    reference: float

    def estimate(
        self, name: str, better: Literal["lower", "higher"] | None, sample: Sample, *, alpha: float
    ) -> MetricEstimate:
        """The metric with an interval for the measured one.

        Args:
            name: Of the metric.
            better: Which direction is better.
            sample: The points.
            alpha: Probability that the interval ever misses it.
        """
        found = self.influence
        error = math.sqrt(sample.standard_error(found.psi) ** 2 + self.noise + self.reference)
        radius = radius_of(error, sample.effective, alpha=alpha)
        low, high = found.bounds
        return MetricEstimate(
            metric=name, better=better, value=found.value, rows=found.rows,
            low=max(low, found.value - radius), high=min(high, found.value + radius),
        )  # fmt: skip


def radius_of(error: float, count: float, *, alpha: float) -> float:
    """Half the width of a confidence sequence.

    Args:
        error: Standard error.
        count: Number of clusters so far.
        alpha: One minus the coverage.
    """
    errors, counts = np.array([error]), np.array([max(count, 2.0)])
    return float(sequence_radius(errors, counts, alpha=alpha, tightest_at=TIGHTEST_AT)[0])


def bin_variance(place: Integers, sensitivity: Array, variances: Array) -> float:
    """Variance of a metric from the variances of the bins of a curve.

    Args:
        place: Bin of each point, (P,).
        sensitivity: Derivative of the metric by the curve at each point, (P,).
        variances: Variance of the curve in each bin, (B,).
    """
    sums = np.bincount(place, sensitivity, len(variances))
    return float((np.square(sums) * variances).sum())
