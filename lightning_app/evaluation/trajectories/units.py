"""Units of a series' changes: log returns or differences."""

from typing import Literal

import numpy as np

Units = Literal["log_return", "level"]


def to_units(values: np.ndarray, *, units: Units) -> np.ndarray:
    """Converts values to a scale on which changes are additive: logarithms for `log_return`, else unchanged.

    Args:
        values: (T, ...).
        units: `log_return` or `level`.

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
    """Inverse of `to_units`.

    Args:
        values: Any shape.
        units: `log_return` or `level`.
    """
    return np.exp(values) if units == "log_return" else values
