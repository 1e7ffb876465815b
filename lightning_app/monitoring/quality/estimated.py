"""Estimated metrics: expected from answers alone, and how far that was from what was measured."""

import math
from collections.abc import Iterator

import numpy as np
from msgspec import Struct

from lightning_app.drift.answers.answer_form import AnswerForm
from lightning_app.drift.answers.flat import Array, Integers
from lightning_app.drift.answers.held_out import HeldOutFacts
from lightning_app.drift.answers.points import Points, chosen_points
from lightning_app.monitoring.config.monitor_config import QualitySettings
from lightning_app.monitoring.quality.expected.expectation import Expectation, radius_of
from lightning_app.monitoring.quality.expected.expected_classes import expected_class_metrics
from lightning_app.monitoring.quality.expected.expected_numbers import expected_number_metrics, share_outside
from lightning_app.monitoring.quality.metrics.measured import better, in_order, is_asked, metric_order
from lightning_app.monitoring.quality.metrics.sample import Sample
from lightning_app.monitoring.report.structs import MetricEstimate

_MOST_NUMBERS = 4_000_000
"""Probabilities that an estimate is computed from; of more, those of evenly spread points."""
_MOST_OUTSIDE = 0.05


class EstimateError(Struct, frozen=True, kw_only=True):
    """Estimated minus measured metric, of the same points.

    Attributes:
        metric: Name of the metric.
        error: Estimated minus measured.
        radius: By how much they may differ if the estimate is right.
    """

    metric: str
    error: float
    radius: float


def estimated_metrics(
    points: Points,
    sample: Sample,
    facts: HeldOutFacts,
    form: AnswerForm,
    *,
    settings: QualitySettings,
    alpha: float,
    by_class: bool = True,
) -> tuple[list[MetricEstimate], list[str]]:
    """Metrics that are expected.

    Args:
        points: Readable answers, with or without outcomes.
        sample: Weights and clusters of the points.
        facts: What held-out rows say.
        form: What is answered.
        settings: How quality is judged.
        alpha: Probability that an interval ever misses what will be measured.
        by_class: Whether metrics of single classes are given too.

    Returns:
        metrics: The metrics; none where the answers have no probabilities.
        notes: Why they may be wrong.
    """
    width = 1 if points.probabilities is None else points.probabilities.shape[1]
    if len(points.rows) * width > _MOST_NUMBERS:
        chosen = np.zeros(len(points.rows), dtype=bool)
        chosen[:: -(-len(points.rows) * width // _MOST_NUMBERS)] = True
        points = chosen_points(points, chosen)
        clusters = None if sample.clusters is None else sample.clusters[chosen]
        sample = Sample(weights=sample.weights[chosen], clusters=clusters)
    names, _ = metric_order(form, settings.metrics)
    found = [
        expectation.estimate(name, better(name), sample, alpha=alpha)  # type: ignore[arg-type]
        for name, expectation in _expectations(points, sample.weights, facts, form, by_class=by_class)
        if is_asked(name, names)
    ]
    notes = []
    if form.kind != "classes" and (outside := share_outside(points, facts, form)) > _MOST_OUTSIDE:
        notes.append(
            f"estimates: {outside:.0%} of the answers are at the ends of what held-out rows had, or beyond: the errors "
            "to be expected there are not known well"
        )
    return in_order(found, names), notes


def estimate_error(
    points: Points,
    truth: Array | Integers,
    measured: MetricEstimate,
    sample: Sample,
    facts: HeldOutFacts,
    form: AnswerForm,
    *,
    alpha: float,
) -> EstimateError | None:
    """How far the estimate of a metric is from what was measured, on the same points.

    Args:
        points: Points with an outcome.
        truth: True classes or numbers, (P,).
        measured: The metric.
        sample: Weights and clusters of the points.
        facts: What held-out rows say.
        form: What is answered.
        alpha: Probability that the radius is ever too small.
    """
    if measured.value is None:
        return None
    for name, expectation in _expectations(points, sample.weights, facts, form, by_class="." in measured.metric):
        if name == measured.metric:
            error = expectation.influence.value - measured.value
            slopes = _surprise(points, truth, name)
            noise = expectation.noise if slopes is None else sample.standard_error(slopes) ** 2
            spread = math.sqrt(noise + expectation.reference)
            return EstimateError(metric=name, error=error, radius=radius_of(spread, sample.effective, alpha=alpha))
    return None


def _surprise(points: Points, truth: Array | Integers, name: str) -> Array | None:
    """What the measured metric is the mean of, less its mean; None where it is no mean of simple errors."""
    if name == "accuracy" and points.classes is not None:
        right = np.equal(points.classes, truth).astype(float)
        return right - right.mean()
    if name == "mae" and points.numbers is not None:
        errors = np.abs(points.numbers - truth)
        return np.asarray(errors - errors.mean())
    return None


def _expectations(
    points: Points, weights: Array, facts: HeldOutFacts, form: AnswerForm, *, by_class: bool
) -> Iterator[tuple[str, Expectation]]:
    if form.kind == "classes":
        if points.probabilities is not None and facts.calibration:
            yield from expected_class_metrics(points, weights, facts, form, by_class=by_class)
    elif facts.errors is not None:
        yield from expected_number_metrics(points, weights, facts, form)
