"""Quantile function of a distribution known by a few quantiles: piecewise linear, with extrapolated tails."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from lightning_app.evaluation.trajectories.levels import check_levels

Tails = Literal["exponential", "linear"]

# Keeps probabilities inside (0, 1), where the normal quantile is finite.
_EDGE = 1e-9


def quantile_function(
    probability: np.ndarray,
    forecast: np.ndarray,
    *,
    levels: Sequence[float] | np.ndarray,
    tails: Tails = "exponential",
) -> np.ndarray:
    """Inverse cumulative distribution function.

    Both kinds of tail continue the density of the outermost segment: the linear one up to probability 0 or 1, the
    exponential one without end, with decaying density.

    Args:
        probability: (..., S, H), in (0, 1).
        forecast: (..., H, Q), ascending in the levels.
        levels: (Q,), ascending, two or more.
        tails: Tails beyond the outer levels.

    Returns:
        (..., S, H).
    """
    array = _two_or_more(levels)
    slopes = np.diff(forecast, axis=-1) / np.diff(array)  # (..., H, Q - 1)
    segment = np.clip(np.searchsorted(array, probability, side="right") - 1, 0, array.size - 2)  # (..., S, H)
    # (..., S, H) indices into (..., H, Q): the level axis takes the position of the samples.
    at, slope = (np.moveaxis(table, -1, -2) for table in (forecast[..., :-1], slopes))
    values = np.take_along_axis(at, segment, axis=-2)
    values = values + np.take_along_axis(slope, segment, axis=-2) * (probability - array[segment])
    if tails == "linear":
        return values
    first, last = array[0], array[-1]
    below = forecast[..., None, :, 0] + first * slopes[..., None, :, 0] * np.log(np.minimum(probability, first) / first)
    left = 1 - np.maximum(probability, last)
    above = forecast[..., None, :, -1] - (1 - last) * slopes[..., None, :, -1] * np.log(left / (1 - last))
    return np.where(probability < first, below, np.where(probability > last, above, values))


def probability_integral_transform(
    forecast: np.ndarray,
    actual: np.ndarray,
    *,
    levels: Sequence[float] | np.ndarray,
    tails: Tails = "exponential",
) -> np.ndarray:
    """Cumulative probability of the actual values under the forecast (PIT); uniform if the forecast is calibrated.

    Args:
        forecast: (..., H, Q), ascending in the levels.
        actual: (..., H).
        levels: (Q,), ascending, two or more.
        tails: Tails beyond the outer levels.

    Returns:
        (..., H), inside (0, 1).
    """
    array = _two_or_more(levels)
    segment = np.clip((actual[..., None] >= forecast).sum(axis=-1) - 1, 0, array.size - 2)  # (..., H)
    start = np.take_along_axis(forecast, segment[..., None], axis=-1)[..., 0]
    end = np.take_along_axis(forecast, segment[..., None] + 1, axis=-1)[..., 0]
    # Quantiles may coincide; the floor maps values beside them to 0 or 1.
    slope = np.maximum((end - start) / np.diff(array)[segment], np.finfo(np.float64).tiny)
    with np.errstate(over="ignore"):
        probability = array[segment] + (actual - start) / slope
        if tails == "exponential":
            first, last = array[0], array[-1]
            below = first * np.exp(np.minimum(actual - forecast[..., 0], 0) / (first * slope))
            above = 1 - (1 - last) * np.exp(np.minimum(forecast[..., -1] - actual, 0) / ((1 - last) * slope))
            probability = np.where(
                actual < forecast[..., 0], below, np.where(actual > forecast[..., -1], above, probability)
            )
    return np.clip(probability, _EDGE, 1 - _EDGE)


def _two_or_more(levels: Sequence[float] | np.ndarray) -> np.ndarray:
    array = check_levels(levels)
    if array.size < 2:
        raise ValueError(f"levels: {array.tolist()} given, two or more are needed for a distribution")
    return array
