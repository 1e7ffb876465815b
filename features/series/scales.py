"""Scales of time series: mean and standard deviation of each, and forecasts back in the units of the table."""

from collections.abc import Mapping

import numpy as np

from features.series.spec import Scale, SeriesSpec

_EPS = float(np.finfo(np.float32).eps)


def scale_of(values: np.ndarray, observed: np.ndarray) -> Scale:
    """Scale of the observed values.

    Args:
        values: float64 (T,).
        observed: bool (T,).
    """
    known = values[observed]
    if not len(known):
        return Scale(mean=0.0, std=1.0)
    mean, std = float(known.mean()), float(known.std())
    return Scale(mean=mean, std=std if std > abs(mean) * 8 * _EPS else 1.0)


def scale_for(spec: SeriesSpec, name: str, values: np.ndarray, observed: np.ndarray) -> Scale:
    """Scale of a window: that of the series' training rows, of an unknown series that of its look-back.

    Args:
        spec: The preparation.
        name: The series.
        values: Look-back, float64 (L,).
        observed: bool (L,).
    """
    known: Mapping[str, Scale] = spec.scales
    return known[name] if name in known else scale_of(values, observed)


def restored(forecast: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Forecasts in the units of the table, of those in units of each window's scale; float32.

    Args:
        forecast: (N, H, C) or (N, H, C, Q).
        mean: float64 (N,).
        std: float64 (N,).
    """
    axes = (-1, *[1] * (forecast.ndim - 1))
    raw: np.ndarray = (forecast.astype(np.float64) * std.reshape(axes) + mean.reshape(axes)).astype(np.float32)
    return raw
