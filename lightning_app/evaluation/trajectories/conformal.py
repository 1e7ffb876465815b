"""Rolling conformal calibration of quantile forecasts."""

from collections.abc import Sequence

import numpy as np

from lightning_app.evaluation.trajectories.levels import check_levels


def rolling_conformal(
    forecast: np.ndarray,
    actual: np.ndarray,
    *,
    origins: np.ndarray,
    levels: Sequence[float] | np.ndarray,
    neighbours: int = 5,
    window: int | None = None,
    min_scores: int = 30,
    gamma: float = 0.0,
) -> np.ndarray:
    """Widens or narrows each central interval to its nominal coverage over the past.

    Conformalized quantile regression (Romano et al., NeurIPS 2019) for each step, with scores in units of the
    interval's width. There are few trajectories without overlap, so scores of all series and of neighbouring steps are
    pooled. A target is used at an origin only if it was observed by then: earlier origin + step <= origin.

    With `gamma` the nominal miss rate is adapted, up after a hit and down after a miss (adaptive conformal inference,
    Gibbs & Candès, NeurIPS 2021), once the target is observed.

    Args:
        forecast: (N, C, H, Q), in origin order. Pass logarithms if a negative lower bound makes no sense.
        actual: (N, C, H) in the same units, NaN if not observed.
        origins: (N,), last row known to each forecast, ascending.
        levels: (Q,); those with a partner 1 - level are calibrated.
        neighbours: Number of steps on either side to pool with.
        window: Number of most recent origins to use; None for all.
        min_scores: Minimum number of pooled scores; forecasts are unchanged before.
        gamma: Step size; 0 for no adaptation, 0.01 to 0.05 is common.

    Returns:
        (N, C, H, Q), ascending in the levels.

    Raises:
        ValueError: Shapes do not match, origins do not ascend, or an option is out of range.
    """
    levels, origins = check_levels(levels), np.asarray(origins)
    _check(forecast, actual, origins=origins, num_levels=levels.size)
    if neighbours < 0 or min_scores < 1 or not 0 <= gamma < 1 or (window is not None and window < 1):
        raise ValueError(
            f"neighbours, min_scores, gamma, window: {neighbours}, {min_scores}, {gamma}, {window} given; neighbours "
            "must be 0 or more, min_scores and window 1 or more, gamma at least 0 and below 1"
        )
    lower, upper = _pairs(levels)
    nominal = 2 * levels[lower]  # (P,), nominal miss rates
    horizon = actual.shape[2]
    # Steps before series: a pool of observed targets is then a single boolean index.
    scores = _scores(forecast, actual, lower=lower, upper=upper).transpose(0, 2, 1, 3)  # (N, H, C, P)
    due = origins[:, None] + np.arange(1, horizon + 1)  # (N, H), the row in which a target is observed
    asked = np.tile(nominal, (horizon, 1))  # (H, P)
    calibrated = np.array(forecast, dtype=np.float64)
    for now, origin in enumerate(origins):
        known = due[:now] <= origin  # (now, H)
        if gamma and now:
            fresh = known & (due[:now] > origins[now - 1])
            for earlier, step in np.argwhere(fresh):
                issued, target = calibrated[earlier, :, step], actual[earlier, :, step, None]
                seen = ~np.isnan(target[:, 0])
                missed = (target < issued[:, lower]) | (target > issued[:, upper])  # (C, P)
                if seen.any():
                    asked[step] += gamma * (nominal - missed[seen].mean(axis=0))
        oldest = 0 if window is None else max(0, now - window)
        for step in range(horizon):
            near = slice(max(0, step - neighbours), step + neighbours + 1)
            pool = scores[oldest:now, near][known[oldest:, near]].reshape(-1, lower.size)
            pool = pool[~np.isnan(pool).any(axis=1)]
            if len(pool) < min_scores:
                continue
            raw, issued = forecast[now, :, step], calibrated[now, :, step]  # (C, Q), the latter a view
            shift = _conformal_quantiles(pool, miss=asked[step]) * (raw[:, upper] - raw[:, lower])  # (C, P)
            issued[:, lower] -= shift
            issued[:, upper] += shift
        calibrated[now] = np.sort(calibrated[now], axis=-1)
    return calibrated


def conformal_rank(number: int, *, miss: float) -> int:
    """Rank, from 1, of the score that a new one exceeds with probability at most `miss`; at most `number`.

    Args:
        number: Number of scores.
        miss: Probability to exceed.
    """
    # Rounded first: depending on the formula, (19 + 1) * (1 - 0.05) is 19.000000000000004 in floating point.
    return int(np.clip(np.ceil(round((number + 1) * (1 - miss), 9)), 1, number))


def _conformal_quantiles(pool: np.ndarray, *, miss: np.ndarray) -> np.ndarray:
    """Conformal quantiles (P,) of scores (K, P) for miss rates (P,)."""
    ranks = [conformal_rank(len(pool), miss=float(share)) - 1 for share in miss]
    return np.array([np.partition(column, rank)[rank] for column, rank in zip(pool.T, ranks, strict=True)])


def _scores(forecast: np.ndarray, actual: np.ndarray, *, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Signed distance of each target outside each interval (N, C, H, P), in widths; NaN without target or width."""
    low, high, target = forecast[..., lower], forecast[..., upper], actual[..., None]
    width = high - low
    return np.where(width > 0, np.maximum(low - target, target - high) / np.where(width > 0, width, 1.0), np.nan)


def _pairs(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the levels below one half that have a partner, and of the partners."""
    distance = np.abs(levels[:, None] + levels[None, :] - 1)
    lower = np.flatnonzero((levels < 0.5 - 1e-9) & (distance.min(axis=1) < 1e-9))
    if not lower.size:
        raise ValueError(f"levels: {levels.tolist()} given, two that sum to 1 are needed, such as 0.1 and 0.9")
    return lower, distance.argmin(axis=1)[lower]


def _check(forecast: np.ndarray, actual: np.ndarray, *, origins: np.ndarray, num_levels: int) -> None:
    if forecast.ndim != 4 or forecast.shape != (*actual.shape, num_levels) or origins.shape != forecast.shape[:1]:
        raise ValueError(
            f"forecast, actual, origins: shapes {forecast.shape}, {actual.shape}, {origins.shape} given; "
            f"(N, C, H, {num_levels}), (N, C, H) and (N,) are needed"
        )
    if (np.diff(origins) <= 0).any():
        raise ValueError("origins: they must ascend; sort forecasts, targets and origins together")
