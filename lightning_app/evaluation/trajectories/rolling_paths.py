"""Sampled trajectories of a rolling-origin evaluation, and what they are worth."""

import numpy as np

from lightning_app.evaluation.bootstrap import ScoreRatio, bootstrap_ratio
from lightning_app.evaluation.trajectories.paths import path_correlation, random_walk_correlation, sample_paths
from lightning_app.evaluation.trajectories.probabilistic import energy_score
from lightning_app.evaluation.trajectories.quantile_function import probability_integral_transform
from lightning_app.evaluation.trajectories.rolling_forecasts import RollingForecasts
from lightning_app.evaluation.trajectories.units import Units, from_units, to_units


def rolling_paths(walk: RollingForecasts, *, units: Units, num_paths: int = 100, seed: int = 0) -> np.ndarray:
    """Paths of each origin, joined by a Gaussian copula of the windows that were observed to their end by then.

    Args:
        walk: Quantile forecasts.
        units: `log_return` samples logarithms, so that no price falls below zero.
        num_paths: S.
        seed: Of the draws.

    Returns:
        (N, C, S, H).
    """
    forecasts, actuals = to_units(walk.forecasts, units=units), to_units(walk.actuals, units=units)
    pit = probability_integral_transform(forecasts, actuals, levels=walk.levels)  # (N, C, H)
    paths = []
    for index, origin in enumerate(walk.origins):
        observed = walk.origins + walk.horizon <= origin
        correlation = random_walk_correlation(walk.horizon)
        if observed.sum() > 1:
            seen = pit[observed].reshape(-1, walk.horizon)
            # Windows that overlap, of series that move together, are worth fewer of their own.
            worth = observed.sum() * min(1.0, walk.stride / walk.horizon)
            correlation = path_correlation(np.clip(seen, 1e-6, 1 - 1e-6), num_windows=worth)
        drawn = sample_paths(
            forecasts[index], levels=walk.levels, correlation=correlation, num_paths=num_paths, seed=seed + index
        )
        paths.append(from_units(drawn, units=units))
    return np.stack(paths)


def energy_ratio(
    walk: RollingForecasts, baseline: RollingForecasts, *, units: Units, num_paths: int = 100
) -> tuple[float, float, ScoreRatio]:
    """Energy scores of sampled paths of a walk and of its baseline.

    Args:
        walk: Forecasts.
        baseline: Of the same origins.
        units: See `rolling_paths`.
        num_paths: Samples per origin.

    Returns:
        Mean score of the walk, mean score of the baseline, and the ratio with its interval.
    """
    scores = [
        energy_score(rolling_paths(each, units=units, num_paths=num_paths), each.actuals) for each in (walk, baseline)
    ]
    block = max(3, 2 * -(-walk.horizon // walk.stride))
    # Without its correction for few samples a score is at least zero; with it, it may fall below by chance.
    positive = [np.maximum(score, 0.0) for score in scores]
    return float(scores[0].mean()), float(scores[1].mean()), bootstrap_ratio(*positive, block=block)
