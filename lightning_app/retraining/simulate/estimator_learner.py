"""EstimatorLearner: an estimator with `fit` and `predict`, as those of scikit-learn, for fast studies."""

import json
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import polars as pl
from typing_extensions import override

from lightning_app.errors import UsageError
from lightning_app.retraining.simulate.learner import FitFailedError, Fitted, Learner
from lightning_app.retraining.simulate.replay_rows import ReplayRows


class EstimatorLearner(Learner):
    """Fits an estimator to columns of the rows: numbers as they are, texts by their place among all texts.

    Args:
        rows: Rows of the replay.
        kind: `module:Class`.
        arguments: Arguments of the class.
        columns: Columns that it reads; None takes all but times, the label, and lists.

    Raises:
        UsageError: There is no such class or column, or no column is left.
    """

    def __init__(
        self, rows: ReplayRows, *, kind: str, arguments: Mapping[str, Any], columns: Sequence[str] | None = None
    ) -> None:
        self._make = _class(kind)
        self._arguments = dict(arguments)
        try:
            self._make(**self._arguments)
        except (TypeError, ValueError) as error:
            raise UsageError(f"learner: {kind} with {json.dumps(self._arguments)}: {error}") from error
        self._x = _matrix(rows, columns)
        labels = rows.table[rows.label]
        self._is_class = not labels.dtype.is_numeric() or _is_classifier(self._make(**self._arguments))
        values = labels.cast(pl.String) if not labels.dtype.is_numeric() else labels
        self._y = values.to_numpy()
        self.error_name = "share of wrong classes" if self._is_class else "absolute error"

    @override
    def fit(self, rows: np.ndarray) -> Fitted:
        began = time.process_time()
        try:
            model = self._make(**self._arguments).fit(self._x[rows], self._y[rows])
        except ValueError as error:
            raise FitFailedError(f"{self._make.__name__}: {error}") from error
        finally:
            self.cpu_seconds += time.process_time() - began
        return _FittedEstimator(model, self._x, self._y, is_class=self._is_class)


class _FittedEstimator(Fitted):
    def __init__(self, model: Any, x: np.ndarray, y: np.ndarray, *, is_class: bool) -> None:
        self._model, self._x, self._y, self._is_class = model, x, y, is_class

    @override
    def errors(self, rows: np.ndarray) -> np.ndarray:
        if not len(rows):
            return np.empty(0)
        answers = np.asarray(self._model.predict(self._x[rows]))
        if self._is_class:
            return (answers != self._y[rows]).astype(np.float64)
        return np.abs(answers.astype(np.float64) - self._y[rows])


def _class(kind: str) -> Any:
    module, _, name = kind.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"learner: {kind!r} given, module:Class is needed, e.g. sklearn.linear_model:Ridge ({error})"
        ) from error


def _is_classifier(estimator: Any) -> bool:
    return getattr(estimator, "_estimator_type", None) == "classifier" or hasattr(estimator, "predict_proba")


def _matrix(rows: ReplayRows, columns: Sequence[str] | None) -> np.ndarray:
    table = rows.table.drop(rows.label)
    if columns is not None and (absent := [name for name in columns if name not in table.columns]):
        raise UsageError(f"columns: there is no column {absent[0]!r}; there are: {', '.join(table.columns)}")
    chosen = list(columns) if columns is not None else table.columns
    read = []
    for name in chosen:
        values = table[name]
        if values.dtype.is_numeric() or values.dtype == pl.Boolean:
            read.append(values.cast(pl.Float64))
        elif values.dtype in (pl.String, pl.Categorical, pl.Enum):
            read.append(values.cast(pl.String).rank("dense").cast(pl.Float64).alias(name))
        elif columns is not None:
            raise UsageError(f"columns: {name} is {values.dtype}; numbers, texts and truth values are read")
    if not read:
        raise UsageError("columns: no column of numbers, texts or truth values")
    return pl.DataFrame(read).to_numpy()
