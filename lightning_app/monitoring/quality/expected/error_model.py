"""ErrorModel: how large the error of a number is to be expected, learned on held-out rows from request and answer.

Errors depend on more than the answer: a region or a season in which the model is poor may become frequent. Boosted
trees learn the absolute error of the sample of held-out rows; what they say of a point is the condition by which its
errors are looked up (`ErrorCurve` by `model`). Conditions of the held-out rows themselves are out of fold, so that the
curve is not too good. Trees that say no more than the answer alone are not used.
"""

from typing import Any

import numpy as np
import polars as pl

from lightning_app.drift.answers.answer_form import AnswerForm
from lightning_app.drift.answers.flat import Array, Integers
from lightning_app.drift.answers.held_out import ErrorCurve, conditions, error_curve, point_errors
from lightning_app.drift.answers.outcomes import read_outcomes
from lightning_app.drift.answers.points import Points, chosen_points, read_points
from lightning_app.monitoring.quality.expected.row_features import RowFeatures, folds_of

_FEWEST_ROWS = 300
_MOST_POINTS = 20_000
BY_MODEL = "model"


class ErrorModel:
    """Trees for the absolute error.

    Args:
        columns: Columns that they read.
        form: What is answered.
    """

    def __init__(self, *, columns: RowFeatures, form: AnswerForm) -> None:
        self._columns, self._form = columns, form
        self.trees: Any = None

    def conditions(self, table: pl.DataFrame, points: Points) -> Array:
        """Expected absolute error of points, (P,).

        Args:
            table: The rows.
            points: Their answers.
        """
        found = np.full(len(points.rows), np.nan)
        if points.readable.any():
            readable = chosen_points(points, points.readable)
            found[points.readable] = self.trees.predict(self.features(table, readable))
        return found

    def features(self, table: pl.DataFrame, points: Points) -> Array:
        """What the trees read, (P, F): the columns, the answer, its spread, and its step.

        Args:
            table: The rows; a column that is not there is missing.
            points: Their answers.
        """
        of_rows = [values[points.rows] for values in self._columns.read(table)]
        assert points.numbers is not None
        return np.stack([*of_rows, points.numbers, conditions(points, self._form), _steps(points)], axis=1)


def fit_error_model(sample: pl.DataFrame, form: AnswerForm) -> tuple[ErrorModel, ErrorCurve] | None:
    """Learns errors from held-out rows.

    Args:
        sample: Rows with the columns of requests, `prediction.NAME` and `outcome`.
        form: What is answered; numbers.

    Returns:
        The model, and the errors by what it says; None if there are too few rows, or it says no more than the answer.
    """
    points = read_points(sample, form)
    outcomes = read_outcomes(sample, points, form)
    known = outcomes.known
    if len(np.unique(points.rows[known])) < _FEWEST_ROWS:
        return None
    known &= np.cumsum(known) <= _MOST_POINTS
    points = chosen_points(points, known)
    assert outcomes.numbers is not None
    errors = point_errors(points, outcomes.numbers[known], form)
    model = ErrorModel(columns=RowFeatures.of(sample), form=form)
    features, absolute = model.features(sample, points), errors["absolute"]
    said = np.empty(len(absolute))
    for learned, asked in folds_of(points.rows):
        said[asked] = _fitted(features[learned], absolute[learned]).predict(features[asked])
    simple = error_curve(conditions(points, form), errors, by="answer")
    by_answer = np.asarray(simple.means["absolute"])[
        np.searchsorted(np.asarray(simple.edges), conditions(points, form))
    ]
    if np.square(absolute - said).mean() >= np.square(absolute - by_answer).mean():
        return None
    model.trees = _fitted(features, absolute)
    return model, error_curve(said, errors, by=BY_MODEL)


def _fitted(features: Array, errors: Array) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor  # a second

    trees = HistGradientBoostingRegressor(
        max_iter=60, max_leaf_nodes=12, min_samples_leaf=30, l2_regularization=1.0, random_state=0, early_stopping=False
    )
    return trees.fit(features, errors)


def _steps(points: Points) -> Array:
    """Place of each point in its row."""
    starts: Integers = np.searchsorted(points.rows, points.rows)
    return (np.arange(len(points.rows)) - starts).astype(np.float64)
