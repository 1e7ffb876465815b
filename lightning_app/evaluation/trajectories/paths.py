"""Paths from quantile forecasts: sampled trajectories, and simultaneous bands for whole trajectories."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from lightning_app.evaluation.trajectories.conformal import conformal_rank
from lightning_app.evaluation.trajectories.levels import level_positions
from lightning_app.evaluation.trajectories.quantile_function import Tails, quantile_function

_normal_quantile = np.vectorize(NormalDist().inv_cdf, otypes=[np.float64])
_erf = np.vectorize(math.erf, otypes=[np.float64])


def random_walk_correlation(horizon: int) -> np.ndarray:
    """Correlation (H, H) between the steps of a random walk: sqrt(min(g, h) / max(g, h)).

    Args:
        horizon: Steps.
    """
    steps = np.arange(1, horizon + 1)
    return np.sqrt(np.minimum.outer(steps, steps) / np.maximum.outer(steps, steps))


def path_correlation(pit: np.ndarray, *, num_windows: float | None = None) -> np.ndarray:
    """Correlation of a Gaussian copula over the steps, shrunk towards a random walk's.

    The weight of the sample correlation is n / (n + H) for n windows of H steps: one half if n = H.

    Args:
        pit: (N, H), probability integral transforms of calibration windows.
        num_windows: Effective number of windows; None for N. Use N * stride / H if windows overlap.

    Returns:
        (H, H), positive definite.

    Raises:
        ValueError: Values outside (0, 1), or a negative number of windows.
    """
    if pit.ndim != 2 or not ((pit > 0) & (pit < 1)).all():
        raise ValueError(f"pit: shape {pit.shape} given, (windows, steps) of values inside (0, 1) is needed")
    number = float(len(pit)) if num_windows is None else num_windows
    if number < 0:
        raise ValueError(f"num_windows: {number} given, 0 or more is allowed")
    horizon = pit.shape[1]
    target = random_walk_correlation(horizon)
    if len(pit) < 2 or number == 0:
        return target
    scores = _normal_quantile(pit)
    scores = scores - scores.mean(axis=0)
    spread = np.sqrt((scores**2).mean(axis=0))
    scores = scores / np.where(spread > 0, spread, 1.0)
    sample = scores.T @ scores / len(pit)
    # A constant step is uncorrelated with the others; the target's correlation there would cost definiteness.
    np.fill_diagonal(sample, 1.0)
    weight = number / (number + horizon)
    return weight * sample + (1 - weight) * target


def sample_paths(
    forecast: np.ndarray,
    *,
    levels: Sequence[float] | np.ndarray,
    correlation: np.ndarray,
    num_paths: int,
    seed: int = 0,
    tails: Tails = "exponential",
) -> np.ndarray:
    """Samples paths whose steps follow the quantile forecasts, with dependence from a Gaussian copula.

    Args:
        forecast: (..., H, Q), ascending in the levels. Pass logarithms of prices, so that no path falls below zero.
        levels: (Q,), ascending.
        correlation: (H, H), from `path_correlation` or `random_walk_correlation`.
        num_paths: S.
        seed: Random seed.
        tails: Tails beyond the outer levels.

    Returns:
        (..., S, H).
    """
    horizon = forecast.shape[-2]
    if correlation.shape != (horizon, horizon) or num_paths < 1:
        raise ValueError(
            f"correlation, num_paths: shape {correlation.shape} and {num_paths} given; ({horizon}, {horizon}) and "
            "1 or more are needed"
        )
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(correlation + 1e-10 * np.eye(horizon))
    normal = rng.standard_normal((*forecast.shape[:-2], num_paths, horizon)) @ root.T
    probability = np.clip(0.5 * (1 + _erf(normal / math.sqrt(2))), 1e-12, 1 - 1e-12)
    return quantile_function(probability, forecast, levels=levels, tails=tails)


def maximal_deviation(
    forecast: np.ndarray, actual: np.ndarray, *, levels: Sequence[float] | np.ndarray, nominal: float = 0.8
) -> np.ndarray:
    """Largest deviation of a path from the median, in units of the half-width of the central interval on that side.

    Args:
        forecast: (..., H, Q).
        actual: (..., H), observed or sampled paths; NaN steps are ignored.
        levels: (Q,), with 0.5 and both of the interval.
        nominal: Coverage of the central interval.

    Returns:
        (...).
    """
    median, below, above = _halves(forecast, levels=levels, nominal=nominal)
    error = actual - median
    tiny = np.finfo(np.float64).tiny
    with np.errstate(over="ignore"):
        deviation = np.where(error < 0, -error / np.maximum(below, tiny), error / np.maximum(above, tiny))
    return np.nanmax(deviation, axis=-1)


def simultaneous_band(
    forecast: np.ndarray,
    *,
    levels: Sequence[float] | np.ndarray,
    deviations: np.ndarray,
    coverage: float = 0.8,
    nominal: float = 0.8,
) -> tuple[np.ndarray, np.ndarray]:
    """A band that contains whole paths, rather than single steps, with probability `coverage`.

    The central interval is scaled by one factor: the conformal quantile of earlier maximal deviations.

    Args:
        forecast: (..., H, Q).
        levels: (Q,), with 0.5 and both of the interval.
        deviations: (n,), `maximal_deviation` of calibration windows, or of sampled paths if windows are few.
        coverage: Nominal fraction of whole paths inside the band.
        nominal: Same as in `maximal_deviation`.

    Returns:
        Lower and upper bounds, each (..., H).
    """
    if not 0 < coverage < 1 or deviations.ndim != 1 or not deviations.size:
        raise ValueError(
            f"coverage, deviations: {coverage} and shape {deviations.shape} given; a coverage between 0 and 1 and at "
            "least one deviation are needed"
        )
    factor = np.sort(deviations)[conformal_rank(deviations.size, miss=1 - coverage) - 1]
    median, below, above = _halves(forecast, levels=levels, nominal=nominal)
    return median - factor * below, median + factor * above


def rolling_simultaneous_band(
    forecast: np.ndarray,
    actual: np.ndarray,
    *,
    origins: np.ndarray,
    levels: Sequence[float] | np.ndarray,
    coverage: float = 0.8,
    min_windows: int = 20,
) -> tuple[np.ndarray, np.ndarray]:
    """Simultaneous band of each origin, calibrated on windows fully observed by then.

    Args:
        forecast: (N, C, H, Q), in origin order.
        actual: (N, C, H).
        origins: (N,), last row known to each forecast.
        levels: (Q,), with 0.1, 0.5 and 0.9.
        coverage: Nominal fraction of whole paths inside the band.
        min_windows: Minimum number of observed windows of all series for a band.

    Returns:
        Lower and upper bounds, each (N, C, H); NaN without a band.
    """
    deviations = maximal_deviation(forecast, actual, levels=levels)  # (N, C)
    lower, upper = np.full(actual.shape, np.nan), np.full(actual.shape, np.nan)
    for now, origin in enumerate(origins):
        seen = deviations[origins + actual.shape[-1] <= origin].ravel()
        seen = seen[~np.isnan(seen)]
        if seen.size >= min_windows:
            lower[now], upper[now] = simultaneous_band(forecast[now], levels=levels, deviations=seen, coverage=coverage)
    return lower, upper


def _halves(
    forecast: np.ndarray, *, levels: Sequence[float] | np.ndarray, nominal: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    low, middle, high = level_positions(levels, [round((1 - nominal) / 2, 9), 0.5, round((1 + nominal) / 2, 9)])
    median = forecast[..., middle]
    return median, median - forecast[..., low], forecast[..., high] - median
