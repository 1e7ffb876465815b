"""ClassModel: probabilities of classes that are right given the request too, learned on held-out rows.

A probability of 0.8 may be right in 90 of 100 rows of one region and in 60 of another. Where held-out rows show it,
boosted trees say how likely each class is given the request and the probabilities that were answered.
"""

from typing import Any

import numpy as np
import polars as pl

from lightning_app.drift.answers.answer_form import AnswerForm
from lightning_app.drift.answers.flat import Array, Integers
from lightning_app.drift.answers.held_out import CalibrationCurve, calibration_curves
from lightning_app.drift.answers.outcomes import read_outcomes
from lightning_app.drift.answers.points import Points, chosen_points, read_points
from lightning_app.monitoring.quality.expected.calibrated import calibrated, log_odds
from lightning_app.monitoring.quality.expected.row_features import RowFeatures, folds_of

_FEWEST_ROWS = 1000
_FEWEST_OF_CLASS = 60
_MOST_CLASSES = 10
_SURELY = 3.0
"""Standard errors by which trees must be better than the probabilities alone."""


class ClassModel:
    """Trees for the class.

    Args:
        columns: Columns that they read.
    """

    def __init__(self, *, columns: RowFeatures) -> None:
        self._columns = columns
        self.trees: Any = None

    def conditions(self, table: pl.DataFrame, points: Points) -> Array:
        """Probabilities of the classes, (P, K).

        Args:
            table: The rows.
            points: Their answers, with probabilities.
        """
        assert points.probabilities is not None
        found = np.full(points.probabilities.shape, np.nan)
        if points.readable.any():
            found[points.readable] = self.trees.predict_proba(
                self.features(table, chosen_points(points, points.readable))
            )
        return found

    def features(self, table: pl.DataFrame, points: Points) -> Array:
        """What the trees read, (P, F): the columns, and log odds of the classes.

        Args:
            table: The rows.
            points: Their answers, with probabilities.
        """
        assert points.probabilities is not None
        odds = log_odds(points.probabilities)
        return np.column_stack([*(values[points.rows] for values in self._columns.read(table)), odds])


def fit_class_model(sample: pl.DataFrame, form: AnswerForm) -> tuple[ClassModel, tuple[CalibrationCurve, ...]] | None:
    """Learns probabilities from held-out rows.

    Args:
        sample: Rows with the columns of requests, `prediction.NAME` and `outcome`.
        form: What is answered; classes.

    Returns:
        The model, and the calibration of what it says; None if there are too few rows, or the probabilities that were
        answered say as much.
    """
    points = read_points(sample, form)
    outcomes = read_outcomes(sample, points, form)
    if points.probabilities is None or len(form.labels) > _MOST_CLASSES:
        return None
    assert outcomes.classes is not None
    points, classes = chosen_points(points, outcomes.known), outcomes.classes[outcomes.known]
    counts = np.bincount(classes, minlength=len(form.labels))
    columns = RowFeatures.of(sample)
    if len(classes) < _FEWEST_ROWS or counts.min() < _FEWEST_OF_CLASS or not (columns.numbers or columns.categories):
        return None
    model = ClassModel(columns=columns)
    features = model.features(sample, points)
    said, plain = np.empty((2, len(classes), len(form.labels)))
    assert points.probabilities is not None
    for learned, asked in folds_of(points.rows):
        if len(np.unique(classes[learned])) < len(form.labels):
            return None
        said[asked] = _fitted(features[learned], classes[learned]).predict_proba(features[asked])
        curves = calibration_curves(points.probabilities[learned], classes[learned])
        plain[asked] = calibrated(points.probabilities[asked], curves)
    gain = _losses(plain, classes) - _losses(said, classes)
    if gain.mean() < _SURELY * gain.std() / np.sqrt(len(gain)):
        return None
    model.trees = _fitted(features, classes)
    return model, calibration_curves(said, classes)


def _losses(probabilities: Array, classes: Integers) -> Array:
    return -np.log(np.clip(probabilities[np.arange(len(classes)), classes], 1e-6, 1))


def _fitted(features: Array, classes: Integers) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier  # a second

    trees = HistGradientBoostingClassifier(
        max_iter=50, max_leaf_nodes=8, min_samples_leaf=40, l2_regularization=1.0, random_state=0, early_stopping=False
    )
    return trees.fit(features, classes)
