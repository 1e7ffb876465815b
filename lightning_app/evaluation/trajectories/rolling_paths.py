"""Sampled paths of a rolling-origin evaluation, and their energy score."""

import numpy as np

from lightning_app.evaluation.bootstrap import ScoreRatio, bootstrap_ratio
from lightning_app.evaluation.trajectories.paths import path_correlation, random_walk_correlation, sample_paths
from lightning_app.evaluation.trajectories.probabilistic import energy_score
from lightning_app.evaluation.trajectories.quantile_function import probability_integral_transform
from lightning_app.evaluation.trajectories.rolling_forecasts import RollingForecasts
from lightning_app.evaluation.trajectories.units import Units, from_units, to_units


def rolling_paths(rolling: RollingForecasts, *, units: Units, num_paths: int = 100, seed: int = 0) -> np.ndarray:
    """Samples paths of each origin, with a Gaussian copula fitted to the windows fully observed by then.

    Args:
        rolling: Quantile forecasts.
        units: `log_return` samples logarithms, so that no price falls below zero.
        num_paths: S.
        seed: Random seed.

    Returns:
        (N, C, S, H).
    """
    forecasts, actuals = to_units(rolling.forecasts, units=units), to_units(rolling.actuals, units=units)
    pit = probability_integral_transform(forecasts, actuals, levels=rolling.levels)  # (N, C, H)
    paths = []
    for index, origin in enumerate(rolling.origins):
        observed = rolling.origins + rolling.horizon <= origin
        correlation = random_walk_correlation(rolling.horizon)
        if observed.sum() > 1:
            seen = pit[observed].reshape(-1, rolling.horizon)
            # Effective number of windows: overlapping windows of correlated series are not independent.
            worth = observed.sum() * min(1.0, rolling.stride / rolling.horizon)
            correlation = path_correlation(np.clip(seen, 1e-6, 1 - 1e-6), num_windows=worth)
        sampled = sample_paths(
            forecasts[index], levels=rolling.levels, correlation=correlation, num_paths=num_paths, seed=seed + index
        )
        paths.append(from_units(sampled, units=units))
    return np.stack(paths)


def energy_ratio(
    rolling: RollingForecasts, baseline: RollingForecasts, *, units: Units, num_paths: int = 100
) -> tuple[float, float, ScoreRatio]:
    """Energy scores of sampled paths of forecasts and of a baseline.

    Args:
        rolling: Forecasts.
        baseline: Forecasts of the same origins.
        units: See `rolling_paths`.
        num_paths: Paths per origin.

    Returns:
        Mean score of the forecasts, mean score of the baseline, and the ratio with its interval.
    """
    scores = [
        energy_score(rolling_paths(each, units=units, num_paths=num_paths), each.actuals)
        for each in (rolling, baseline)
    ]
    block = max(3, 2 * -(-rolling.horizon // rolling.stride))
    # The finite-sample correction may make a score negative by chance; without it, scores are at least zero.
    positive = [np.maximum(score, 0.0) for score in scores]
    return float(scores[0].mean()), float(scores[1].mean()), bootstrap_ratio(*positive, block=block)
