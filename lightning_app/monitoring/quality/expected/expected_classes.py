"""Expected metrics of classes from calibrated probabilities: accuracy, losses, ranking, metrics of single classes.

A point with calibrated probability p of the answered class is right with probability p, so the mean of p is the
expected accuracy, and likewise every entry of the confusion matrix (confidence-based performance estimation).
Probabilities are calibrated on held-out rows, class by class. The estimate follows a change of the inputs, as far as
probabilities stay as reliable as they were; it cannot see that the relation of inputs and outcomes has changed.
"""

import math
from collections.abc import Iterator

import numpy as np

from lightning_app.drift.answers.answer_form import AnswerForm
from lightning_app.drift.answers.flat import Array, Integers
from lightning_app.drift.answers.held_out import HeldOutFacts
from lightning_app.drift.answers.points import Points
from lightning_app.monitoring.quality.expected.calibrated import calibrated, to_be_calibrated
from lightning_app.monitoring.quality.expected.expectation import Expectation, bin_variance
from lightning_app.monitoring.quality.metrics.class_metrics import MOST_CLASSES, auroc
from lightning_app.monitoring.quality.metrics.sample import Influence, mean_influence, ratio_influence

_EPS = float(np.finfo(np.float64).eps)


def expected_class_metrics(
    points: Points, weights: Array, facts: HeldOutFacts, form: AnswerForm, *, by_class: bool = True
) -> Iterator[tuple[str, Expectation]]:
    """Expected metrics, one after the other.

    Args:
        points: Answers with probabilities.
        weights: Of each point, (P,).
        facts: What held-out rows say; with calibration.
        form: What is answered.
        by_class: Whether recall, precision and F1 of each class are given too.
    """
    expected = _Expected(points, weights, facts)
    yield from expected.linear()
    if len(form.labels) == 2:
        yield "auroc", expected.auroc()
    yield from expected.by_class(form, only_macro=not by_class)


class _Expected:
    def __init__(self, points: Points, weights: Array, facts: HeldOutFacts) -> None:
        assert points.probabilities is not None
        self.answered, self.weights, self.facts = points.probabilities, weights, facts
        read = to_be_calibrated(points)
        self.truth = calibrated(read, facts.calibration)
        assert points.classes is not None
        self.classes: Integers = points.classes
        self.places = [
            np.searchsorted(np.asarray(curve.edges), read[:, place]) for place, curve in enumerate(facts.calibration)
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
