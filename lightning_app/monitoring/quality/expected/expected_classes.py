"""Expected metrics of classes from calibrated probabilities: accuracy, losses, ranking, metrics of single classes.

A point with calibrated probability p of the answered class is right with probability p, so the mean of p is the
expected accuracy, and likewise every entry of the confusion matrix (confidence-based performance estimation).
Probabilities are calibrated on held-out rows, class by class. The estimate follows a change of the inputs, as far as
probabilities stay as reliable as they were; it cannot see that the relation of inputs and outcomes has changed.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from lightning_app.drift.answers.answer_form import AnswerForm
from lightning_app.drift.answers.flat import Array, Integers
from lightning_app.drift.answers.held_out import CalibrationCurve, HeldOutFacts
from lightning_app.monitoring.quality.expected.expectation import Expectation, bin_variance
from lightning_app.monitoring.quality.metrics.class_metrics import MOST_CLASSES, auroc
from lightning_app.monitoring.quality.metrics.sample import Influence, mean_influence, ratio_influence

_LAST = 4
"""Bins at each end by which calibration is continued beyond them."""
_EPS = float(np.finfo(np.float64).eps)


def calibrated(probabilities: Array, curves: Sequence[CalibrationCurve]) -> Array:
    """Probabilities as often as they came true on held-out rows, (P, K).

    Args:
        probabilities: As answered, (P, K).
        curves: Of each class.
    """
    columns = [_calibrated(probabilities[:, place], curve) for place, curve in enumerate(curves)]
    if len(columns) == 2:
        columns[0] = 1 - columns[1]
    whole = np.stack(columns, axis=1)
    return np.asarray(whole / np.maximum(whole.sum(axis=1, keepdims=True), _EPS))


def expected_class_metrics(
    probabilities: Array, weights: Array, facts: HeldOutFacts, form: AnswerForm, *, by_class: bool = True
) -> Iterator[tuple[str, Expectation]]:
    """Expected metrics, one after the other.

    Args:
        probabilities: As answered, (P, K).
        weights: Of each point, (P,).
        facts: What held-out rows say; with calibration.
        form: What is answered.
        by_class: Whether recall, precision and F1 of each class are given too.
    """
    expected = _Expected(probabilities, weights, facts)
    yield from expected.linear()
    if probabilities.shape[1] == 2:
        yield "auroc", expected.auroc()
    yield from expected.by_class(form, only_macro=not by_class)


class _Expected:
    def __init__(self, probabilities: Array, weights: Array, facts: HeldOutFacts) -> None:
        self.answered, self.weights, self.facts = probabilities, weights, facts
        self.truth = calibrated(probabilities, facts.calibration)
        self.classes: Integers = probabilities.argmax(axis=1)
        self.places = [
            np.searchsorted(np.asarray(curve.edges), probabilities[:, place])
            for place, curve in enumerate(facts.calibration)
        ]
        self.variances = [
            np.asarray(curve.share) * (1 - np.asarray(curve.share)) / np.maximum(curve.counts, 1)
            for curve in facts.calibration
        ]
        self.total = weights.sum()

    def linear(self) -> Iterator[tuple[str, Expectation]]:
        """Metrics that are means over points."""
        num_classes = self.answered.shape[1]
        right = np.zeros_like(self.answered)
        right[np.arange(len(right)), self.classes] = 1
        yield "accuracy", self._mean(right, (0.0, 1.0))
        safe = np.clip(self.answered / self.answered.sum(axis=1, keepdims=True), _EPS, 1)
        yield "log_loss", self._mean(-np.log(safe), (0.0, math.inf))
        scale = 0.5 if num_classes == 2 else 1.0
        brier = scale * (np.square(self.answered).sum(axis=1, keepdims=True) - 2 * self.answered + 1)
        yield "brier", self._mean(brier, (0.0, 2.0))

    def auroc(self) -> Expectation:
        """Area under the curve: every point is positive with its probability, and negative else."""
        scores, positive = self.answered[:, 1], self.truth[:, 1]
        count = len(scores)
        both = auroc(
            np.concatenate([scores, scores]),
            np.repeat([True, False], count),
            np.concatenate([self.weights * positive, self.weights * (1 - positive)]),
        )
        # The influence of a point that is half positive is the mean of both.
        psi = positive * both.psi[:count] + (1 - positive) * both.psi[count:]
        slope = (both.psi[:count] - both.psi[count:]) * self.weights / self.total
        return self._expectation(Influence(value=both.value, psi=psi, rows=count, bounds=(0.0, 1.0)), {1: slope})

    def by_class(self, form: AnswerForm, *, only_macro: bool) -> Iterator[tuple[str, Expectation]]:
        """Metrics from the expected confusion matrix."""
        counts = self.truth.T @ self.weights
        found: list[Expectation] = []
        for place in sorted(np.argsort(-counts, kind="stable")[:MOST_CLASSES].tolist()):
            said, true = (self.classes == place).astype(float), self.truth[:, place]
            for name, top, bottom, slope in (
                ("recall", said * true, true, said), ("precision", said * true, said, said),
                ("f1", 2 * said * true, said + true, 2 * said),
            ):  # fmt: skip
                if only_macro and name != "f1":
                    continue
                ratio = ratio_influence(top, bottom, self.weights, rows=len(true))
                if not math.isfinite(ratio.value):
                    continue
                below = float((self.weights * bottom).sum())
                slope = slope - (0 if name == "precision" else ratio.value)
                expectation = self._expectation(ratio, {place: self.weights * slope / below})
                if name == "f1":
                    found.append(expectation)
                if not only_macro:
                    yield f"{name}.{form.labels[place]}", expectation
        if found:
            yield "macro_f1", Expectation(
                influence=Influence(
                    value=float(np.mean([one.influence.value for one in found])), rows=len(self.weights),
                    psi=np.mean([one.influence.psi for one in found], axis=0), bounds=(0.0, 1.0),
                ),
                noise=float(np.mean([one.noise for one in found])),
                reference=float(np.mean([one.reference for one in found])),
            )  # fmt: skip

    def _mean(self, gains: Array, bounds: tuple[float, float]) -> Expectation:
        """A metric that is the mean of what each class would give, (P, K)."""
        values = (self.truth * gains).sum(axis=1)
        slopes = gains * (self.weights / self.total)[:, None]
        if gains.shape[1] == 2:
            of_classes = {1: slopes[:, 1] - slopes[:, 0]}
        else:
            of_classes = {place: slopes[:, place] for place in range(gains.shape[1])}
        noise = float(
            ((np.square(slopes) * self.truth).sum(axis=1) - np.square((slopes * self.truth).sum(axis=1))).sum()
        )
        influence = mean_influence(values, self.weights, bounds=bounds)
        return Expectation(influence=influence, noise=noise, reference=self._reference(of_classes))

    def _expectation(self, influence: Influence, slopes: dict[int, Array]) -> Expectation:
        noise = 0.0
        for place, slope in slopes.items():
            noise += float((np.square(slope) * self.truth[:, place] * (1 - self.truth[:, place])).sum())
        return Expectation(influence=influence, noise=noise, reference=self._reference(slopes))

    def _reference(self, slopes: dict[int, Array]) -> float:
        return self.facts.design_effect * sum(
            bin_variance(self.places[place], slope, self.variances[place]) for place, slope in slopes.items()
        )


def _calibrated(probability: Array, curve: CalibrationCurve) -> Array:
    """Shares of the bins, made monotone, and interpolated over log odds; outwards they go on as the last bins do."""
    counts, mean, share = (np.asarray(values, dtype=float) for values in (curve.counts, curve.probability, curve.share))
    known = counts > 0
    if not known.any():
        return probability
    counts, mean, share = counts[known], mean[known], share[known]
    shares = _monotone((share * counts + mean) / (counts + 1), counts)  # no bin is certain
    odds, means = _log_odds(probability), _log_odds(mean)
    found = np.interp(odds, means, shares)
    for outer, end, part in ((odds < means[0], 0, slice(None, _LAST)), (odds > means[-1], -1, slice(-_LAST, None))):
        slope = _slope(means[part], _log_odds(shares[part]))
        found[outer] = 1 / (1 + np.exp(-(_log_odds(shares)[end] + slope * (odds[outer] - means[end]))))
    return found


def _slope(means: Array, shares: Array) -> float:
    """By how much log odds of shares rise with those of probabilities, from 0 to 1."""
    spread = float(np.square(means - means.mean()).sum())
    return min(1.0, max(0.0, float(((means - means.mean()) * shares).sum()) / spread)) if spread > 0 else 0.0


def _log_odds(probability: Array) -> Array:
    safe = np.clip(probability, 1e-12, 1 - 1e-12)
    return np.log(safe) - np.log1p(-safe)


def _monotone(values: Array, weights: Array) -> Array:
    """The nearest values that do not fall: neighbours that do are pooled."""
    pools: list[list[float]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        pools.append([value, weight, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            later, earlier = pools.pop(), pools.pop()
            total = earlier[1] + later[1]
            pools.append([(earlier[0] * earlier[1] + later[0] * later[1]) / total, total, earlier[2] + later[2]])
    return np.repeat([pool[0] for pool in pools], [int(pool[2]) for pool in pools])
