"""In which units the changes of a series add up."""

from typing import Literal

import numpy as np

Units = Literal["log_return", "level"]


def to_units(values: np.ndarray, *, units: Units) -> np.ndarray:
    """Values in which changes add up: logarithms for `log_return`, else as they are.

    Args:
        values: (T, ...).
        units: What a change is.

    Raises:
        ValueError: A value has no logarithm.
    """
    if units == "level":
        return values
    if units != "log_return":
        raise ValueError(f"units: {units!r} given, allowed are 'log_return' and 'level'")
    rows = np.flatnonzero((values <= 0).reshape(len(values), -1).any(axis=1))
    if rows.size:
        raise ValueError(f"values: zero or less in row {rows[0]} has no logarithm; use units: level, or leave it out")
    return np.log(values)


def from_units(values: np.ndarray, *, units: Units) -> np.ndarray:
    """Undoes `to_units`.

    Args:
        values: Of any shape.
        units: What a change is.
    """
    return np.exp(values) if units == "log_return" else values
