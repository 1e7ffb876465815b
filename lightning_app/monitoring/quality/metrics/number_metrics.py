"""Metrics of numbers and quantiles: errors in the unit of the outcome, explained variance, coverage."""

import math

import numpy as np

from lightning_app.drift.answers.answer_form import AnswerForm
from lightning_app.drift.answers.flat import Array
from lightning_app.drift.answers.held_out import point_errors
from lightning_app.drift.answers.points import Points
from lightning_app.monitoring.quality.metrics.sample import Influence, mean_influence

BETTER: dict[str, str | None] = {
    "mae": "lower", "rmse": "lower", "bias": None, "r2": "higher", "mape": "lower", "pinball": "lower",
    "coverage": None,
}  # fmt: skip


def number_metrics(points: Points, numbers: Array, weights: Array, form: AnswerForm) -> dict[str, Influence]:
    """Metrics of numbers, the main one first; those that are not defined are missing.

    `r2` needs true numbers that differ, `mape` true numbers that are not 0. `coverage` is the share of true numbers
    between the outermost quantiles, and `pinball` the mean loss over all levels.

    Args:
        points: Answers with an outcome.
        numbers: True numbers, (P,).
        weights: Of each point, (P,).
        form: What is answered.
    """
    errors = point_errors(points, numbers, form)
    found: dict[str, Influence] = {}
    if "pinball" in errors:
        found["pinball"] = _positive(errors["pinball"], weights)
    if "covered" in errors:
        found["coverage"] = mean_influence(errors["covered"], weights, bounds=(0.0, 1.0))
    squared = mean_influence(errors["squared"], weights)
    found["mae"] = _positive(errors["absolute"], weights)
    root = math.sqrt(squared.value)
    found["rmse"] = Influence(
        value=root, psi=squared.psi / (2 * root) if root else squared.psi, rows=squared.rows, bounds=(0.0, math.inf)
    )
    found["bias"] = mean_influence(errors["signed"], weights)
    deviation = np.square(numbers - np.average(numbers, weights=weights))
    variance = float(np.average(deviation, weights=weights))
    if variance > 0:
        ratio = squared.value / variance
        found["r2"] = Influence(
            value=1 - ratio, psi=(ratio * (deviation - variance) - squared.psi) / variance, rows=len(numbers),
            bounds=(-math.inf, 1.0),
        )  # fmt: skip
    if (numbers != 0).all():
        found["mape"] = _positive(errors["absolute"] / np.abs(numbers), weights)
    return found


def _positive(values: Array, weights: Array) -> Influence:
    return mean_influence(values, weights, bounds=(0.0, math.inf))
