"""Reliability: whether outcomes are as the held-out rows said: calibration of answers, distribution of outcomes."""

from typing import Literal

import numpy as np

from lightning_app.drift.answers.answer_form import AnswerForm
from lightning_app.drift.answers.flat import Array, Integers
from lightning_app.drift.answers.held_out import HeldOutFacts, conditions, point_errors
from lightning_app.drift.answers.points import Points
from lightning_app.monitoring.quality.expected.calibrated import calibrated, to_be_calibrated
from lightning_app.monitoring.quality.metrics.sample import Sample
from lightning_app.monitoring.report.structs import OutcomeTest

FEWEST = 100
"""Points with an outcome that the tests need."""
_BINS = 10
_MOST_CLASSES = 20


def calibration_test(
    points: Points, truth: Array | Integers, sample: Sample, facts: HeldOutFacts, form: AnswerForm
) -> OutcomeTest | None:
    """Tests whether probabilities come true, or numbers err, as on the held-out rows, bin by bin.

    Args:
        points: Answers with an outcome.
        truth: True classes or numbers, (P,).
        sample: Weights and clusters of these points.
        facts: What held-out rows say.
        form: What is answered.

    Returns:
        None where there are too few points, or nothing to compare with.
    """
    if len(points.rows) < FEWEST:
        return None
    if points.probabilities is not None and facts.calibration:
        truths = calibrated(to_be_calibrated(points), facts.calibration)
        if truths.shape[1] == 2:
            place, residuals = _place(points.probabilities[:, 1]), (truth == 1) - truths[:, 1]
        else:
            best = points.probabilities.argmax(axis=1)
            place = _place(points.probabilities.max(axis=1))
            residuals = (truth == best) - truths[np.arange(len(best)), best]
        shares = np.bincount(place, truths.max(axis=1), _BINS) / np.maximum(np.bincount(place, minlength=_BINS), 1)
        held_out = facts.points * np.bincount(place, minlength=_BINS) / len(place)
        of_reference = shares * (1 - shares) / np.maximum(held_out, 1)
        return _test("calibration", [_chi_square(place, residuals, sample, of_reference * facts.design_effect)], sample)
    if facts.errors is None or points.numbers is None:
        return None
    curve = facts.errors
    place = np.searchsorted(np.asarray(curve.edges), conditions(points, form))
    errors = point_errors(points, np.asarray(truth, dtype=np.float64), form)
    results = []
    for kind in ("absolute", "signed"):
        means, variances = np.asarray(curve.means[kind]), np.asarray(curve.variances[kind])
        of_reference = facts.design_effect * variances / np.maximum(curve.counts, 1)
        results.append(_chi_square(place, errors[kind] - means[place], sample, of_reference))
    return _test("calibration", results, sample)


def outcome_test(truth: Array | Integers, sample: Sample, facts: HeldOutFacts) -> OutcomeTest | None:
    """Tests whether outcomes are distributed as on the held-out rows.

    Args:
        truth: True classes or numbers, (P,).
        sample: Weights and clusters.
        facts: What held-out rows say.

    Returns:
        None where there are too few points or clusters, or nothing to compare with.
    """
    counts = np.asarray(facts.outcome_counts, dtype=float)
    if len(truth) < FEWEST or counts.sum() == 0:
        return None
    place = np.searchsorted(np.asarray(facts.outcome_edges), truth) if facts.errors is not None else truth
    now = np.bincount(place.astype(np.int64), sample.weights, len(counts))
    order = np.argsort(-(counts / counts.sum() + now / now.sum()))[:_MOST_CLASSES]
    usual, shares = counts[order] / counts.sum(), now[order] / now.sum()
    codes = np.full(len(counts), -1)
    codes[order] = np.arange(len(order))
    indicators = codes[place.astype(np.int64)][:, None] == np.arange(len(order))[None, :]
    sums = _cluster_sums((indicators - shares) * sample.weights[:, None], sample)
    covariance = sums.T @ sums / sample.weights.sum() ** 2
    covariance += facts.design_effect * (np.diag(usual) - np.outer(usual, usual)) / counts.sum()
    change = shares - usual
    degrees = int(np.linalg.matrix_rank(covariance, hermitian=True))
    if not degrees:
        return None
    statistic = float(change @ np.linalg.pinv(covariance, rcond=1e-9, hermitian=True) @ change)
    spare = sample.effective - degrees
    if spare <= 1:  # requests are too few to know how far they differ from each other
        return None
    from scipy.stats import f  # half a second

    # The covariance is that of the clusters at hand, so this is Hotelling's test and no chi-square.
    p_value = float(f.sf(statistic * spare / (degrees * (sample.effective - 1)), degrees, spare))
    return OutcomeTest(name="outcomes", statistic=statistic, degrees=degrees, p_value=p_value, rows=len(sample.weights))


def _chi_square(place: Integers, residuals: Array, sample: Sample, of_reference: Array) -> tuple[float, int]:
    """Sum of squared standardised sums of residuals by bin, and the number of bins."""
    count = len(of_reference)
    sums = np.bincount(place, sample.weights * residuals, count)
    masses = np.bincount(place, sample.weights, count)
    # A cluster may have points in several bins; their covariance across bins is small and left out.
    if sample.clusters is None:
        variance = np.bincount(place, np.square(sample.weights * residuals), count).astype(np.float64)
    else:
        cells = np.unique(np.stack([sample.clusters, place], axis=1), axis=0, return_inverse=True)
        of_cells = np.bincount(cells[1].ravel(), sample.weights * residuals)
        variance = np.bincount(cells[0][:, 1], np.square(of_cells), count).astype(np.float64)
    variance = variance + np.square(masses) * of_reference
    used = (np.bincount(place, minlength=count) >= FEWEST // 5) & (variance > 0)
    return float((np.square(sums[used]) / variance[used]).sum()), int(used.sum())


def _test(
    name: Literal["calibration", "outcomes"], results: list[tuple[float, int]], sample: Sample
) -> OutcomeTest | None:
    from scipy.stats import chi2  # half a second

    tested = [(statistic, degrees) for statistic, degrees in results if degrees]
    if not tested:
        return None
    tails = [float(chi2.sf(statistic, degrees)) for statistic, degrees in tested]
    best = int(np.argmin(tails))
    return OutcomeTest(
        name=name, statistic=tested[best][0], degrees=tested[best][1], p_value=min(1.0, tails[best] * len(tails)),
        rows=len(sample.weights),
    )  # fmt: skip


def _place(probability: Array) -> Integers:
    """Bins of about equal size."""
    edges = np.unique(np.quantile(probability, np.arange(1, _BINS) / _BINS))
    return np.searchsorted(edges, probability)


def _cluster_sums(values: Array, sample: Sample) -> Array:
    if sample.clusters is None:
        return values
    return np.stack([np.bincount(sample.clusters, column) for column in values.T], axis=1)
