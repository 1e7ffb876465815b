"""Scores of quantile forecasts and sampled paths: pinball loss, WQL, MASE, coverage, energy score."""

from collections.abc import Sequence

import numpy as np

from lightning_app.evaluation.trajectories.levels import SCORED_LEVELS, check_levels, level_positions


def pinball_loss(forecast: np.ndarray, actual: np.ndarray, *, levels: Sequence[float] | np.ndarray) -> np.ndarray:
    """Quantile loss of each target and level (Koenker & Bassett, 1978).

    Args:
        forecast: (..., H, Q).
        actual: (..., H).
        levels: (Q,), ascending.

    Returns:
        (..., H, Q).
    """
    array = check_levels(levels)
    if forecast.shape != (*actual.shape, array.size):
        raise ValueError(
            f"forecast: shape {forecast.shape} given, {(*actual.shape, array.size)} is needed for the shape "
            f"{actual.shape} of actual and {array.size} levels"
        )
    error = actual[..., None] - forecast
    return np.maximum(array * error, (array - 1) * error)


def quantile_loss_sums(
    forecast: np.ndarray,
    actual: np.ndarray,
    *,
    levels: Sequence[float] | np.ndarray,
    scored: Sequence[float] = SCORED_LEVELS,
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """Numerator of the weighted quantile loss, one per trajectory.

    Args:
        forecast: (..., H, Q).
        actual: (..., H).
        levels: (Q,), ascending.
        scored: Levels to average over.
        mask: (..., H), False where a target is ignored; None uses all.

    Returns:
        (...), twice the pinball loss, summed over the steps and averaged over the scored levels.
    """
    positions = level_positions(levels, scored)
    loss = pinball_loss(forecast, _counted(actual, mask), levels=levels)[..., positions].mean(axis=-1)  # (..., H)
    return 2 * _counted(loss, mask).sum(axis=-1)


def weighted_quantile_loss(
    forecast: np.ndarray,
    actual: np.ndarray,
    *,
    levels: Sequence[float] | np.ndarray,
    scored: Sequence[float] = SCORED_LEVELS,
    mask: np.ndarray | None = None,
) -> float:
    """Twice the summed pinball loss over the summed absolute target, averaged over levels (WQL).

    Args:
        forecast: (..., H, Q), in the units of the series.
        actual: (..., H).
        levels: (Q,), ascending.
        scored: Levels to average over.
        mask: (..., H), False where a target is ignored; None uses all.

    Raises:
        ValueError: All targets are zero.
    """
    total = np.abs(_counted(actual, mask)).sum()
    if total == 0:
        raise ValueError("actual: all targets that count are zero, WQL needs one that is not")
    return float(quantile_loss_sums(forecast, actual, levels=levels, scored=scored, mask=mask).sum() / total)


def absolute_scaled_errors(
    forecast: np.ndarray,
    actual: np.ndarray,
    *,
    levels: Sequence[float] | np.ndarray,
    scale: np.ndarray,
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """Absolute error of the median, in units of each trajectory's scale.

    Args:
        forecast: (..., H, Q).
        actual: (..., H).
        levels: (Q,), with 0.5.
        scale: (...), mean absolute one-season change in a window that ends at the origin.
        mask: (..., H), False where a target is ignored; None uses all.

    Returns:
        (..., H), NaN where the target is ignored or the scale is zero.
    """
    (median,) = level_positions(levels, [0.5])
    counts = np.broadcast_to((scale > 0)[..., None], actual.shape) & (True if mask is None else mask)
    error = np.abs(_counted(actual, counts) - forecast[..., median]) / np.where(scale > 0, scale, 1.0)[..., None]
    return np.where(counts, error, np.nan)


def mean_absolute_scaled_error(
    forecast: np.ndarray,
    actual: np.ndarray,
    *,
    levels: Sequence[float] | np.ndarray,
    scale: np.ndarray,
    mask: np.ndarray | None = None,
) -> float:
    """MASE of the median (Hyndman & Koehler, 2006), with a separate scale for each origin.

    A single scale from the early rows would be meaningless for a growing series.

    Args:
        forecast: (..., H, Q).
        actual: (..., H).
        levels: (Q,), with 0.5.
        scale: (...), zero ignores the trajectory.
        mask: (..., H), False where a target is ignored; None uses all.

    Raises:
        ValueError: Every scale is zero.
    """
    errors = absolute_scaled_errors(forecast, actual, levels=levels, scale=scale, mask=mask)
    if np.isnan(errors).all():
        raise ValueError("scale: no window before an origin moves (or no target counts), so MASE has no unit")
    return float(np.nanmean(errors))


def central_interval(
    forecast: np.ndarray, *, levels: Sequence[float] | np.ndarray, nominal: float
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bounds, each (..., H), of the central interval.

    Args:
        forecast: (..., H, Q).
        levels: (Q,), with (1 - nominal) / 2 and (1 + nominal) / 2.
        nominal: Nominal coverage, e.g. 0.8.
    """
    lower, upper = level_positions(levels, [round((1 - nominal) / 2, 9), round((1 + nominal) / 2, 9)])
    return forecast[..., lower], forecast[..., upper]


def interval_coverage(
    forecast: np.ndarray,
    actual: np.ndarray,
    *,
    levels: Sequence[float] | np.ndarray,
    nominal: float,
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """Fraction of targets inside the central interval, at each step.

    Args:
        forecast: (..., H, Q).
        actual: (..., H).
        levels: (Q,), with both of the interval.
        nominal: Nominal coverage, e.g. 0.8.
        mask: (..., H), False where a target is ignored; None uses all.

    Returns:
        (H,), NaN for a step without targets.
    """
    lower, upper = central_interval(forecast, levels=levels, nominal=nominal)
    inside = (actual >= lower) & (actual <= upper)
    counts = np.ones(actual.shape, dtype=bool) if mask is None else mask
    windows = tuple(range(actual.ndim - 1))
    number = counts.sum(axis=windows)
    return np.where(number > 0, (inside & counts).sum(axis=windows) / np.maximum(number, 1), np.nan)


def interval_width(forecast: np.ndarray, *, levels: Sequence[float] | np.ndarray, nominal: float) -> np.ndarray:
    """Mean width (H,) of the central interval at each step, in the units of the series.

    Args:
        forecast: (..., H, Q).
        levels: (Q,), with both of the interval.
        nominal: Nominal coverage, e.g. 0.8.
    """
    lower, upper = central_interval(forecast, levels=levels, nominal=nominal)
    return (upper - lower).mean(axis=tuple(range(lower.ndim - 1)))


def path_coverage(lower: np.ndarray, upper: np.ndarray, actual: np.ndarray, *, mask: np.ndarray | None = None) -> float:
    """Fraction of trajectories inside a band at every step.

    Args:
        lower: (..., H).
        upper: (..., H).
        actual: (..., H).
        mask: (..., H), False where a step is ignored; trajectories without steps are left out.

    Returns:
        The fraction, NaN without trajectories.
    """
    counts = np.ones(actual.shape, dtype=bool) if mask is None else mask
    inside = (((actual >= lower) & (actual <= upper)) | ~counts).all(axis=-1)
    trajectories = counts.any(axis=-1)
    return float(inside[trajectories].mean()) if trajectories.any() else float("nan")


def energy_score(paths: np.ndarray, actual: np.ndarray, *, mask: np.ndarray | None = None) -> np.ndarray:
    """Energy score of sampled paths (Gneiting & Raftery, 2007), with finite-sample correction.

    Args:
        paths: (..., S, H), two or more samples.
        actual: (..., H).
        mask: (..., H), False where a step is ignored; None uses all.

    Returns:
        (...), in the units of the series; lower is better.

    Raises:
        ValueError: Fewer than two samples.
    """
    num_paths, horizon = paths.shape[-2:]
    if num_paths < 2 or (*paths.shape[:-2], horizon) != actual.shape:
        raise ValueError(
            f"paths, actual: shapes {paths.shape} and {actual.shape} given; (..., S, H) with two or more samples and "
            "(..., H) are needed"
        )
    # Errors instead of paths: the differences are the same, with less cancellation in the product than for prices.
    errors = _counted(paths - actual[..., None, :], None if mask is None else mask[..., None, :])  # (..., S, H)
    scores = [_energy_score(window) for window in errors.reshape(-1, num_paths, horizon)]
    return np.array(scores).reshape(actual.shape[:-1])


def _energy_score(errors: np.ndarray) -> float:
    squares = (errors**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * errors @ errors.T, 0))  # (S, S)
    np.fill_diagonal(distances, 0)
    num_paths = len(errors)
    return float(np.sqrt(squares).mean() - distances.sum() / (2 * num_paths * (num_paths - 1)))


def _counted(values: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    # where, not a product: masked values may be NaN.
    return values if mask is None else np.where(mask, values, 0.0)
