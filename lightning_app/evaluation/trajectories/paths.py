"""Whole trajectories out of a quantile forecast: sampled paths, and a band that holds whole paths."""

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

    The weight of the sample's correlation is n / (n + H) for n windows of H steps: one half where there are as many
    windows as steps.

    Args:
        pit: (N, H), probability integral transforms of calibration windows.
        num_windows: Windows that the sample is worth; None takes N. Give N * stride / H where windows overlap.

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
    # A step that never varies is uncorrelated with the others; taking the target there would cost definiteness.
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
    """Paths whose steps follow the quantiles and depend on each other as a Gaussian copula says.

    Args:
        forecast: (..., H, Q), ascending in the levels. Give logarithms of prices, so that no path goes below zero.
        levels: (Q,), ascending.
        correlation: (H, H), of `path_correlation` or `random_walk_correlation`.
        num_paths: S.
        seed: Of the draws.
        tails: Beyond the outer levels.

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
    """Largest distance of a path from the median, in units of the central interval's half on that side.

    Args:
        forecast: (..., H, Q).
        actual: (..., H), observed or sampled paths; NaN steps do not count.
        levels: (Q,), with 0.5 and the two of the interval.
        nominal: Probability of the interval that serves as the unit.

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
    """A band that holds a share `coverage` of whole paths, not of single steps.

    The central interval is stretched by one factor: the conformal quantile of maximal deviations seen before.

    Args:
        forecast: (..., H, Q).
        levels: (Q,), with 0.5 and the two of the interval.
        deviations: (n,), `maximal_deviation` of calibration windows, or of sampled paths where windows are few.
        coverage: Share of whole paths to hold.
        nominal: As given to `maximal_deviation`.

    Returns:
        Lower and upper end, each (..., H).
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
    """The simultaneous band of each origin, from windows that were observed to their end by then.

    Args:
        forecast: (N, C, H, Q), in origin order.
        actual: (N, C, H).
        origins: (N,), the last row that each forecast knew.
        levels: (Q,), with 0.1, 0.5 and 0.9.
        coverage: Share of whole paths to hold.
        min_windows: Until so many windows of all series were observed there is no band.

    Returns:
        Lower and upper end, each (N, C, H); NaN where there is no band.
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
