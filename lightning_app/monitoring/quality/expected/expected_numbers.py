"""Expected metrics of numbers: errors that held-out rows had where answers were like these."""

import math
from collections.abc import Iterator

import numpy as np

from lightning_app.drift.answers.answer_form import AnswerForm
from lightning_app.drift.answers.flat import Array
from lightning_app.drift.answers.held_out import HeldOutFacts, conditions
from lightning_app.drift.answers.points import Points
from lightning_app.monitoring.quality.expected.error_model import BY_MODEL
from lightning_app.monitoring.quality.expected.expectation import Expectation, bin_variance
from lightning_app.monitoring.quality.metrics.sample import Influence, mean_influence

_KINDS = {"pinball": "pinball", "coverage": "covered", "mae": "absolute", "rmse": "squared", "bias": "signed"}
"""Kinds of errors of `ErrorCurve` by metric."""


def expected_number_metrics(
    points: Points, weights: Array, facts: HeldOutFacts, form: AnswerForm
) -> Iterator[tuple[str, Expectation]]:
    """Expected metrics, one after the other.

    Args:
        points: Answers.
        weights: Of each point, (P,).
        facts: What held-out rows say; with errors.
        form: What is answered.
    """
    curve = facts.errors
    assert curve is not None
    place = np.searchsorted(np.asarray(curve.edges), conditions(points, form))
    counts = np.maximum(curve.counts, 1)
    slopes = weights / weights.sum()
    for metric, kind in _KINDS.items():
        if kind not in curve.means:
            continue
        means, variances = np.asarray(curve.means[kind]), np.asarray(curve.variances[kind])
        bounds = {"covered": (0.0, 1.0), "signed": (-math.inf, math.inf)}.get(kind, (0.0, math.inf))
        influence = mean_influence(means[place], weights, bounds=bounds)
        noise = float((np.square(slopes) * variances[place]).sum())
        reference = facts.design_effect * bin_variance(place, slopes, variances / counts)
        if metric == "rmse":
            root = math.sqrt(influence.value)
            scale = 1 / (2 * root) if root else 0.0
            influence = Influence(value=root, psi=influence.psi * scale, rows=influence.rows, bounds=bounds)
            noise, reference = noise * scale**2, reference * scale**2
        yield metric, Expectation(influence=influence, noise=noise, reference=reference)


def share_outside(points: Points, facts: HeldOutFacts, form: AnswerForm) -> float:
    """Share of answers in the outermost bins beyond twice what held-out rows had there.

    Args:
        points: Answers.
        facts: What held-out rows say.
        form: What is answered.
    """
    curve = facts.errors
    if curve is None or curve.by == BY_MODEL or len(curve.counts) < 3:
        return 0.0
    place = np.searchsorted(np.asarray(curve.edges), conditions(points, form))
    shares = np.bincount(place, minlength=len(curve.counts)) / max(len(place), 1)
    usual = np.asarray(curve.counts) / max(sum(curve.counts), 1)
    return float(sum(max(0.0, shares[end] - 2 * usual[end]) for end in (0, -1)))
