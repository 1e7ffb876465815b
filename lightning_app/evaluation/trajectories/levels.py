"""Quantile levels of a forecast: defaults, validation and lookup."""

from collections.abc import Sequence

import numpy as np

# Default of every forecaster, and the levels of the weighted quantile loss.
LEVELS = (0.025, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.975)
SCORED_LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def check_levels(levels: Sequence[float] | np.ndarray) -> np.ndarray:
    """Validates levels and converts them to an array (Q,).

    Args:
        levels: Ascending, in (0, 1).

    Raises:
        ValueError: They do not ascend, or are outside (0, 1).
    """
    array = np.asarray(levels, dtype=np.float64)
    if array.ndim != 1 or not array.size or array[0] <= 0 or array[-1] >= 1 or (np.diff(array) <= 0).any():
        raise ValueError(f"levels: {array.tolist()} given, allowed are ascending levels between 0 and 1")
    return array


def level_positions(levels: Sequence[float] | np.ndarray, wanted: Sequence[float]) -> list[int]:
    """Indices of some levels among all.

    Args:
        levels: Levels of the forecast (Q,).
        wanted: Levels to look up.

    Raises:
        ValueError: A level is missing.
    """
    array = check_levels(levels)
    distance = np.abs(array[:, None] - np.asarray(wanted, dtype=np.float64))  # (Q, W)
    missing = [level for level, nearest in zip(wanted, distance.min(axis=0), strict=True) if nearest > 1e-9]
    if missing:
        raise ValueError(
            f"levels: {array.tolist()} given, {missing} is missing; let the forecaster give these levels as well"
        )
    return [int(position) for position in distance.argmin(axis=0)]
