"""ErrorModel: how large the error of a number is to be expected, learned on held-out rows from request and answer.

Errors depend on more than the answer: a region or a season in which the model is poor may become frequent. Boosted
trees learn the absolute error of the sample of held-out rows; what they say of a point is the condition by which its
errors are looked up (`ErrorCurve` by `model`). Conditions of the held-out rows themselves are out of fold, so that the
curve is not too good. Trees that say no more than the answer alone are not used.
"""

from typing import Any

import numpy as np
import polars as pl

from lightning_app.drift.answers.answer_form import OUTCOME, PREDICTION, AnswerForm
from lightning_app.drift.answers.flat import Array, Integers
from lightning_app.drift.answers.held_out import ErrorCurve, conditions, error_curve, point_errors
from lightning_app.drift.answers.outcomes import read_outcomes
from lightning_app.drift.answers.points import Points, chosen_points, read_points

_FEWEST_ROWS = 300
_MOST_POINTS = 20_000
_MOST_CATEGORIES = 64
_FOLDS = 3
BY_MODEL = "model"


class ErrorModel:
    """Trees for the absolute error.

    Args:
        numbers: Columns of numbers that they read.
        categories: Values of the columns of texts that they read.
        form: What is answered.
        trees: Fitted on `features`.
    """

    def __init__(
        self, *, numbers: tuple[str, ...], categories: dict[str, list[str]], form: AnswerForm, trees: Any = None
    ) -> None:
        self._numbers, self._categories, self._form, self.trees = numbers, categories, form, trees

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
        columns: list[Array] = []
        for name in self._numbers:
            is_there = name in table.columns and (table[name].dtype.is_numeric() or table[name].dtype == pl.Boolean)
            values = table[name].cast(pl.Float64).fill_null(np.nan).to_numpy() if is_there else None
            columns.append(np.full(len(table), np.nan) if values is None else values)
        for name, known in self._categories.items():
            codes = {value: float(place) for place, value in enumerate(known)}
            texts = table[name] if name in table.columns else pl.Series([None] * len(table), dtype=pl.String)
            coded = texts.cast(pl.String, strict=False).replace_strict(codes, default=None, return_dtype=pl.Float64)
            columns.append(coded.fill_null(np.nan).to_numpy())
        of_rows = [values[points.rows] for values in columns]
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
    model = ErrorModel(**_columns(sample), form=form)
    features, absolute = model.features(sample, points), errors["absolute"]
    said = np.empty(len(absolute))
    # Rows, not points, are divided: steps of a forecast err alike. Neighbours stay together.
    fold = points.rows * _FOLDS // (int(points.rows.max()) + 1)
    for number in range(_FOLDS):
        said[fold == number] = _fitted(features[fold != number], absolute[fold != number]).predict(
            features[fold == number]
        )
    simple = error_curve(conditions(points, form), errors, by="answer")
    by_answer = np.asarray(simple.means["absolute"])[
        np.searchsorted(np.asarray(simple.edges), conditions(points, form))
    ]
    if np.square(absolute - said).mean() >= np.square(absolute - by_answer).mean():
        return None
    model.trees = _fitted(features, absolute)
    return model, error_curve(said, errors, by=BY_MODEL)


def _columns(sample: pl.DataFrame) -> dict[str, Any]:
    """Columns of requests that trees can read."""
    numbers, categories = [], {}
    for column in sample.drop(OUTCOME, strict=False).iter_columns():
        if column.name.startswith(PREDICTION):
            continue
        if column.dtype.is_numeric() or column.dtype == pl.Boolean:
            numbers.append(column.name)
        elif column.dtype == pl.String and column.n_unique() <= _MOST_CATEGORIES:
            categories[column.name] = sorted(column.drop_nulls().unique().to_list())
    return {"numbers": tuple(numbers), "categories": categories}


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
