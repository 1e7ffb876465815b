"""Metrics of classes: accuracy, losses of probabilities, calibration error, ranking, and metrics of single classes."""

import math
from collections.abc import Iterator

import numpy as np

from lightning_app.drift.answers.answer_form import AnswerForm
from lightning_app.drift.answers.flat import Array, Booleans, Integers
from lightning_app.drift.answers.points import Points
from lightning_app.monitoring.quality.metrics.sample import Influence, mean_influence, ratio_influence

BETTER: dict[str, str | None] = {
    "accuracy": "higher", "log_loss": "lower", "brier": "lower", "ece": "lower", "auroc": "higher",
    "macro_f1": "higher", "recall": "higher", "precision": "higher", "f1": "higher",
}  # fmt: skip
MOST_CLASSES = 20
"""Classes whose recall, precision and F1 are given: the most frequent ones."""
CALIBRATION_BINS = 15


def class_metrics(
    points: Points, classes: Integers, weights: Array, form: AnswerForm, *, by_class: bool = True
) -> Iterator[tuple[str, Influence]]:
    """Metrics of classes, one after the other; without probabilities, those of the answered classes alone.

    `brier` is halved for two classes, as usual; `ece` has 15 bins of equal width of the answered class's probability;
    `auroc` is of two classes.

    Args:
        points: Answers with an outcome.
        classes: Index of the true class, (P,).
        weights: Of each point, (P,).
        form: What is answered.
        by_class: Whether recall, precision and F1 of each class are given too.
    """
    assert points.classes is not None
    right = points.classes == classes
    yield "accuracy", mean_influence(right.astype(float), weights, bounds=(0.0, 1.0))
    if points.probabilities is not None:
        yield from _of_probabilities(points.probabilities, points.classes, classes, weights)
    yield from _by_class(points.classes, classes, weights, form, only_macro=not by_class)


def auroc(scores: Array, positive: Booleans, weights: Array) -> Influence:
    """Area under the curve: probability that a positive point has a higher score than a negative one; ties count half.

    The influences are those of DeLong et al. (1988).

    Args:
        scores: (P,).
        positive: Which points are positive, (P,).
        weights: (P,).
    """
    rows = int(min(positive.sum(), (~positive).sum()))
    if not rows:
        return Influence(value=math.nan, psi=np.zeros_like(scores), rows=0)
    _, place = np.unique(scores, return_inverse=True)
    below = []
    for chosen in (~positive, positive):
        mass = np.bincount(place, weights * chosen)
        below.append(((np.cumsum(mass) - mass / 2) / mass.sum())[place])
    wins = np.where(positive, below[0], 1 - below[1])
    value = float(np.average(wins[positive], weights=weights[positive]))
    total = weights.sum()
    share = np.where(positive, weights[positive].sum(), weights[~positive].sum()) / total
    return Influence(value=value, psi=(wins - value) / share, rows=rows, bounds=(0.0, 1.0))


def class_losses(probabilities: Array, classes: Integers) -> tuple[Array, Array]:
    """Log loss and Brier score of each point.

    Args:
        probabilities: (P, K).
        classes: Index of the true class, (P,).
    """
    of_truth = probabilities[np.arange(len(classes)), classes]
    log_loss = -np.log(np.clip(of_truth / probabilities.sum(axis=1), np.finfo(np.float64).eps, 1.0))
    brier = np.square(probabilities).sum(axis=1) - 2 * of_truth + 1
    return log_loss, brier / 2 if probabilities.shape[1] == 2 else brier


def calibration_error(confidence: Array, right: Array, weights: Array) -> Influence:
    """Expected calibration error: mean distance of confidence and share of right answers, in bins.

    Chance alone makes it positive: by how much at most is its `bias`.

    Args:
        confidence: Probability of the answered class, (P,).
        right: Whether it was right, 0 or 1, (P,).
        weights: (P,).
    """
    place = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(place, weights * (confidence - right), CALIBRATION_BINS)
    total = float(weights.sum())
    value = float(np.abs(gaps).sum()) / total
    noise = np.bincount(place, np.square(weights) * confidence * (1 - confidence), CALIBRATION_BINS)
    return Influence(
        value=value, psi=np.sign(gaps)[place] * (confidence - right) - value, rows=len(right), bounds=(0.0, 1.0),
        bias=float(np.sqrt(2 / math.pi * noise).sum()) / total,
    )  # fmt: skip


def _of_probabilities(
    probabilities: Array, answered: Integers, classes: Integers, weights: Array
) -> Iterator[tuple[str, Influence]]:
    log_loss, brier = class_losses(probabilities, classes)
    yield "log_loss", mean_influence(log_loss, weights, bounds=(0.0, math.inf))
    yield "brier", mean_influence(brier, weights, bounds=(0.0, 2.0))
    confidence = probabilities[np.arange(len(answered)), answered]
    yield "ece", calibration_error(confidence, (answered == classes).astype(float), weights)
    if probabilities.shape[1] == 2:
        yield "auroc", auroc(probabilities[:, 1], classes == 1, weights)


def _by_class(
    answered: Integers, classes: Integers, weights: Array, form: AnswerForm, *, only_macro: bool
) -> Iterator[tuple[str, Influence]]:
    counts = np.bincount(classes, minlength=len(form.labels))
    shown = sorted(np.argsort(-counts, kind="stable")[:MOST_CLASSES].tolist())
    psi, values = np.zeros(len(classes)), []
    for place in shown:
        label, rows = form.labels[place], int(counts[place])
        said, true = (answered == place).astype(float), (classes == place).astype(float)
        hit = said * true
        if not only_macro:
            yield f"recall.{label}", ratio_influence(hit, true, weights, rows=rows)
            yield f"precision.{label}", ratio_influence(hit, said, weights, rows=int(said.sum()))
        f1 = ratio_influence(2 * hit, said + true, weights, rows=rows)
        if not only_macro:
            yield f"f1.{label}", f1
        if math.isfinite(f1.value):
            values.append(f1.value)
            psi += f1.psi
    mean = float(np.mean(values)) if values else math.nan
    yield "macro_f1", Influence(value=mean, psi=psi / max(len(values), 1), rows=len(classes), bounds=(0.0, 1.0))
