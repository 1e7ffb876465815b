"""Agreement of two answers to one request, row by row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightning_app.serving.inference.loaded_model import Predictions

TOLERANCE = 0.01
"""Numbers agree within this share of the larger one."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two answers agree.

    Attributes:
        num_rows: Rows of the first answer.
        num_agreeing: Rows whose values all agree; none if the answers have other rows or no name in common.
    """

    num_rows: int
    num_agreeing: int


def agreement(first: Predictions, second: Predictions) -> Agreement:
    """Compares two answers in what both have, by name; texts have to be equal, numbers within 1 %.

    Args:
        first: One answer.
        second: The other.
    """
    names = [name for name in _names(first) if name in set(_names(second))]
    num_rows = len(first[_names(first)[0]]) if _names(first) else 0
    if not names or any(len(first[name]) != len(second[name]) for name in names):
        return Agreement(num_rows, 0)
    agreeing = np.ones(num_rows, bool)
    for name in names:
        agreeing &= _agreeing(_values(first[name]), _values(second[name]))
    return Agreement(num_rows, int(agreeing.sum()))


def _names(predictions: Predictions) -> Sequence[str]:
    return list(predictions) if isinstance(predictions, Mapping) else predictions.columns


def _values(column: Any) -> Any:
    return column if isinstance(column, np.ndarray | list) else column.to_list()


def _agreeing(first: Any, second: Any) -> np.ndarray:
    """Whether each row agrees, shape (num_rows,)."""
    if isinstance(first, list) and isinstance(second, list) and all(isinstance(value, str) for value in first):
        return np.array([one == other for one, other in zip(first, second, strict=True)], bool)
    arrays = [np.asarray(values) if _is_regular(values) else None for values in (first, second)]
    if any(array is None or array.dtype.kind not in "biuf" for array in arrays):
        return np.array([_equal(one, other) for one, other in zip(first, second, strict=True)], bool)
    one, other = (np.asarray(array, float) for array in arrays)
    if one.shape != other.shape:
        return np.zeros(len(one), bool)
    close = np.abs(one - other) <= TOLERANCE * np.maximum(np.abs(one), np.abs(other))
    close |= (one == other) | (np.isnan(one) & np.isnan(other))
    return close.reshape(len(one), -1).all(axis=1)


def _is_regular(values: Any) -> bool:
    return isinstance(values, np.ndarray) or all(isinstance(value, bool | int | float) for value in values)


def _equal(first: Any, second: Any) -> bool:
    """Whether the values of one row agree: texts, lists of arrays of any length."""
    one, other = np.asarray(first), np.asarray(second)
    if one.shape != other.shape:
        return False
    if one.dtype.kind in "biuf" and other.dtype.kind in "biuf":
        return bool(_agreeing(one.reshape(1, -1), other.reshape(1, -1))[0])
    return bool((one == other).all())
