"""Measured metrics: those of the task, from answers and outcomes, with confidence sequences."""

import math
from collections.abc import Iterator, Sequence

from lightning_app.drift.answers.answer_form import AnswerForm
from lightning_app.drift.answers.flat import Array, Integers
from lightning_app.drift.answers.points import Points
from lightning_app.monitoring.config.monitor_config import QualitySettings
from lightning_app.monitoring.quality.metrics.class_metrics import BETTER as BETTER_OF_CLASSES
from lightning_app.monitoring.quality.metrics.class_metrics import class_metrics
from lightning_app.monitoring.quality.metrics.number_metrics import BETTER as BETTER_OF_NUMBERS
from lightning_app.monitoring.quality.metrics.number_metrics import number_metrics
from lightning_app.monitoring.quality.metrics.sample import Influence, Sample, mean_influence
from lightning_app.monitoring.report.structs import MetricEstimate

REWARD = "reward"
_BETTER = {**BETTER_OF_NUMBERS, **BETTER_OF_CLASSES, REWARD: "higher"}
_DEFAULT = {
    "number": ("mae", "rmse", "bias", "r2", "mape"),
    "quantiles": ("pinball", "coverage", "mae", "rmse", "bias"),
    "classes": ("accuracy", "log_loss", "brier", "ece", "auroc", "macro_f1", "recall", "precision", "f1"),
}


def metric_order(form: AnswerForm | None, chosen: Sequence[str] | None) -> tuple[tuple[str, ...], list[str]]:
    """Names of metrics, the main one first.

    Args:
        form: What is answered.
        chosen: Names that were asked for; `recall` stands for that of each class. None takes those of the task.

    Returns:
        names: Metrics that the task has.
        unknown: Names that it does not have.
    """
    of_task = (*(_DEFAULT[form.kind] if form is not None else ()), REWARD)
    names = tuple(chosen) if chosen is not None else of_task
    known = tuple(name for name in names if _kind(name, form) in of_task)
    return known, [name for name in names if name not in known]


def better(name: str) -> str | None:
    """Which direction of a metric is better: `lower` or `higher`; None for neither.

    Args:
        name: The metric, of a class with its label after a dot.
    """
    return _BETTER[name.partition(".")[0]]


def is_asked(name: str, names: Sequence[str]) -> bool:
    """Whether a metric was asked for.

    Args:
        name: The metric.
        names: As `metric_order` gives them.
    """
    return name in names or name.partition(".")[0] in names


def in_order(found: Sequence[MetricEstimate], names: Sequence[str]) -> list[MetricEstimate]:
    """Metrics in the order of their names.

    Args:
        found: The metrics.
        names: As `metric_order` gives them.
    """
    places = {name: place for place, name in enumerate(names)}
    return sorted(found, key=lambda one: places.get(one.metric, places.get(one.metric.partition(".")[0], len(places))))


def measured_metrics(
    points: Points,
    truth: Array | Integers,
    sample: Sample,
    form: AnswerForm,
    *,
    settings: QualitySettings,
    alpha: float,
    by_class: bool = True,
) -> list[MetricEstimate]:
    """Metrics of points with an outcome.

    Args:
        points: The points.
        truth: True classes or numbers, (P,).
        sample: Weights and clusters of the points.
        form: What is answered.
        settings: How quality is judged.
        alpha: Probability that a confidence sequence ever misses its metric.
        by_class: Whether metrics of single classes are given too.
    """
    names, _ = metric_order(form, settings.metrics)
    found = [
        sample.estimate(name, better(name), influence, alpha=alpha, least=settings.minimum_rows)
        for name, influence in _influences(points, truth, sample, form, by_class=by_class)
        if is_asked(name, names)
    ]
    return in_order(found, names)


def mean_reward(rewards: Array, sample: Sample, *, settings: QualitySettings, alpha: float) -> MetricEstimate:
    """Mean of the rewards.

    Args:
        rewards: Of each row, (N,).
        sample: Weights and clusters of the rows.
        settings: How quality is judged.
        alpha: Probability that the confidence sequence ever misses it.
    """
    is_share = bool(((rewards == 0) | (rewards == 1)).all())
    found = mean_influence(rewards, sample.weights, bounds=(0.0, 1.0) if is_share else (-math.inf, math.inf))
    return sample.estimate(REWARD, "higher", found, alpha=alpha, least=settings.minimum_rows)


def _influences(
    points: Points, truth: Array | Integers, sample: Sample, form: AnswerForm, *, by_class: bool
) -> Iterator[tuple[str, Influence]]:
    if form.kind == "classes":
        yield from class_metrics(points, truth.astype(int), sample.weights, form, by_class=by_class)
    else:
        yield from number_metrics(points, truth.astype(float), sample.weights, form).items()


def _kind(name: str, form: AnswerForm | None) -> str:
    kind, dot, label = name.partition(".")
    return kind if not dot or (form is not None and label in form.labels) else name
