"""Importance of columns: by how much the error of the model grows when a column is shuffled among held-out rows."""

import numpy as np
import polars as pl

from lightning_app.drift.answers.answer_form import AnswerForm
from lightning_app.drift.answers.outcomes import Outcomes, read_outcomes
from lightning_app.drift.answers.points import Points, read_points
from lightning_app.packaging.format.errors import BadRowsError, RequestError
from lightning_app.packaging.monitored.rows import OUTCOME, MonitoredRows, as_predictions, values_per_row

MOST_ROWS = 1000
_FEWEST_ROWS = 32
_MOST_NUMBERS = 2**24
"""Numbers of the requests that are asked for all columns together."""
_MOST_REPEATED = 8
"""Columns up to which each is shuffled twice."""
_LEAST_PROBABILITY = 1e-6


def column_importance(rows: MonitoredRows, form: AnswerForm) -> dict[str, float] | None:
    """Share of each shuffled column in the growth of the error, together 1; none of columns that cannot be shuffled.

    Args:
        rows: Held-out rows.
        form: What is answered.

    Returns:
        None if it cannot be measured: no outcomes, ids of nodes, a single column, rows too large or too few, or a model
        whose error grows with no column.
    """
    ask = rows.ask_changed
    count = importance_rows(rows)
    if ask is None or rows.outcome is None or len(rows.shuffled) < 2 or count is None:
        return None
    chosen = np.linspace(0, len(rows) - 1, count).round().astype(np.int64)
    rng = np.random.default_rng(0)
    outcome = rows.outcome[chosen]
    repeats = _repeats(rows)
    before = _Error(rows.answers[chosen], outcome, form)
    grown: dict[str, float] = {}
    for name in rows.shuffled:
        try:
            growths = [before.growth(ask(chosen, name, rng)) for _ in range(repeats)]
        except (BadRowsError, RequestError):  # inputs of which one depends on another
            continue
        grown[name] = float(np.mean(growths))
    total = sum(max(0.0, growth) for growth in grown.values())
    if not total > 0:
        return None
    return {name: max(0.0, growth) / total for name, growth in grown.items()}


def importance_rows(rows: MonitoredRows) -> int | None:
    """Rows that are asked again with each shuffled column; None if there are too few, or they are too large.

    Args:
        rows: Held-out rows.
    """
    asked = max(1, len(rows.shuffled) * _repeats(rows))
    size = max(1.0, sum(map(values_per_row, rows.requests.head(_FEWEST_ROWS))))
    count = int(min(len(rows), MOST_ROWS, max(rows.most_asked / asked, _FEWEST_ROWS), _MOST_NUMBERS / (asked * size)))
    return count if count >= _FEWEST_ROWS else None


def _repeats(rows: MonitoredRows) -> int:
    return 2 if len(rows.shuffled) <= _MOST_REPEATED else 1


class _Error:
    """Error of answers: of numbers in units of the true values' deviation, of classes by the true class's probability.

    Args:
        answers: Answers to the requests as they were.
        outcome: True values.
        form: What is answered.
    """

    def __init__(self, answers: pl.DataFrame, outcome: pl.Series, form: AnswerForm) -> None:
        self._form = form
        points = read_points(as_predictions(answers), form)
        self._truth = read_outcomes(outcome.alias(OUTCOME).to_frame(), points, form)
        self._scale = _scale(self._truth, points)
        self._before = self._error(points)

    def growth(self, answers: pl.DataFrame) -> float:
        """By how much the error of these answers is larger.

        Args:
            answers: Answers to changed requests.
        """
        return self._error(read_points(as_predictions(answers), self._form)) - self._before

    def _error(self, points: Points) -> float:
        truth = self._truth
        known = truth.known & points.readable
        if not known.any():
            return 0.0
        if truth.classes is not None:
            assert points.probabilities is not None
            of_truth = points.probabilities[known, truth.classes[known]]
            return float(-np.log(np.maximum(of_truth, _LEAST_PROBABILITY)).mean())
        assert truth.numbers is not None
        assert points.numbers is not None
        return float((np.abs(points.numbers - truth.numbers) / self._scale)[known].mean())


def _scale(truth: Outcomes, points: Points) -> np.ndarray:
    """Deviation of the true numbers at the place of each point in its row, (P,): channels have units of their own."""
    if truth.numbers is None:
        return np.ones(len(truth.known))
    width = int(points.counts.max(initial=1))
    if not (points.counts == width).all():
        width = 1
    numbers = np.where(truth.known, truth.numbers, np.nan).reshape(-1, width)
    known = np.isfinite(numbers)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, numbers, 0.0).sum(axis=0) / count
    deviation = np.sqrt(np.where(known, (numbers - mean) ** 2, 0.0).sum(axis=0) / count)
    return np.tile(np.where(deviation > 0, deviation, 1.0), len(numbers))
