"""Rolling-origin evaluation (walk-forward) of any trajectory forecaster."""

from typing import Protocol

import numpy as np

from lightning_app.evaluation.trajectories.rolling_forecasts import RollingForecasts


class RefittedForecaster(Protocol):
    """A forecaster that is fitted on past rows and forecasts quantiles of the rows that follow."""

    @property
    def horizon(self) -> int:
        """Steps H of a forecast."""

    @property
    def levels(self) -> tuple[float, ...]:
        """Quantile levels (Q,) of a forecast, ascending."""

    def fit(self, values: np.ndarray) -> None:
        """Fits from scratch; validation and calibration rows have to be taken from `values`.

        Args:
            values: (T, C), a copy.
        """

    def forecast(self, values: np.ndarray) -> np.ndarray:
        """Forecasts the rows after the last one.

        Args:
            values: (T, C), a copy of all rows up to the origin.

        Returns:
            (C, H, Q), in the units of `values`.
        """


def rolling_origin_forecasts(
    values: np.ndarray,
    forecaster: RefittedForecaster,
    *,
    start: int | float = 0.8,
    stride: int = 21,
    refit_every: int | None = 252,
    embargo: int | None = None,
    scale_window: int = 252,
    period: int = 1,
    name: str | None = None,
) -> RollingForecasts:
    """Forecasts from successive origins, each using only the rows up to it.

    The forecaster is fitted at the start and again every `refit_every` rows, on all rows at least `embargo` rows before
    the next origin. It receives copies of past rows only, so it cannot access the future by accident.

    Args:
        values: (T, C), a column per series, rows in order.
        forecaster: Fitted here, from scratch.
        start: Row of the first origin, or the fraction of rows before it.
        stride: Rows between origins.
        refit_every: Rows between fits; None fits once, at the start.
        embargo: Rows between the last training row and the first origin after it; None for the horizon.
        scale_window: Rows before each origin for the scale of MASE.
        period: Season of the scale of MASE; 1 for prices.
        name: Name in reports; None for the forecaster's class.

    Returns:
        The forecasts with the observed targets.

    Raises:
        ValueError: The series is too short, constant or not finite somewhere; an option is out of range; or the
            forecaster does not return quantile forecasts.
    """
    values = np.array(values, dtype=np.float64)
    horizon = forecaster.horizon
    embargo = horizon if embargo is None else embargo
    _check_options(stride=stride, refit_every=refit_every, embargo=embargo, scale_window=scale_window, period=period)
    _check_values(values)
    first = _first_origin(start, num_rows=len(values), horizon=horizon, embargo=embargo)
    still = np.flatnonzero(np.ptp(values[: first - embargo], axis=0) == 0)
    if still.size:
        raise ValueError(
            f"values: column {still[0]} is constant in rows 0 to {first - embargo - 1}, on which the first fit is "
            "made; leave it out or start later"
        )
    origins = range(first, len(values) - horizon, stride)
    forecasts, fit_ends = [], []
    next_fit = first
    for origin in origins:
        if origin >= next_fit:
            fit_end = origin - embargo
            forecaster.fit(values[:fit_end].copy())
            next_fit = len(values) if refit_every is None else origin + refit_every
        # A copy: a view's base would expose the future rows.
        forecast = np.asarray(forecaster.forecast(values[: origin + 1].copy()), dtype=np.float64)
        _check_forecast(forecast, expected=(values.shape[1], horizon, len(forecaster.levels)), origin=origin)
        forecasts.append(forecast)
        fit_ends.append(fit_end)
    rows = np.array(origins)[:, None] + np.arange(1, horizon + 1)  # (N, H)
    return RollingForecasts(
        name=type(forecaster).__name__ if name is None else name,
        origins=np.array(origins),
        forecasts=np.stack(forecasts),
        actuals=values[rows].transpose(0, 2, 1),
        scale=np.stack([_scale(values[: origin + 1], window=scale_window, period=period) for origin in origins]),
        levels=tuple(forecaster.levels),
        fit_ends=np.array(fit_ends),
        stride=stride,
        embargo=embargo,
        refit_every=refit_every,
    )


walk_forward = rolling_origin_forecasts
"""Earlier name, for notebooks that import it."""


def _first_origin(start: int | float, *, num_rows: int, horizon: int, embargo: int) -> int:
    first = int(num_rows * start) if isinstance(start, float) else int(start)
    if first - embargo < 2 or first + horizon >= num_rows:
        raise ValueError(
            f"values: {num_rows} rows given and start {start}; the first origin is row {first}, before which 2 rows "
            f"and the embargo of {embargo} must fit, and after which the horizon of {horizon} must; give more rows, "
            "move the start or shorten the horizon"
        )
    return first


def _scale(values: np.ndarray, *, window: int, period: int) -> np.ndarray:
    """Mean absolute one-season change (C,) in the last of the rows (T, C) up to an origin."""
    recent = values[-window - period :]
    changes = np.abs(recent[period:] - recent[:-period])
    return changes.mean(axis=0) if len(changes) else np.zeros(values.shape[1])


def _check_options(*, stride: int, refit_every: int | None, embargo: int, scale_window: int, period: int) -> None:
    for name, value, lowest in (
        ("stride", stride, 1),
        ("refit_every", 1 if refit_every is None else refit_every, 1),
        ("embargo", embargo, 0),
        ("scale_window", scale_window, 1),
        ("period", period, 1),
    ):
        if value < lowest:
            raise ValueError(f"{name}: {value} given, {lowest} or more is allowed")


def _check_values(values: np.ndarray) -> None:
    if values.ndim != 2 or not values.size:
        raise ValueError(f"values: shape {values.shape} given, (rows, series) is needed; use values[:, None] for one")
    rows, columns = np.nonzero(~np.isfinite(values))
    if rows.size:
        raise ValueError(
            f"values: column {columns[0]} is {values[rows[0], columns[0]]} in row {rows[0]}; fill it or leave it out"
        )


def _check_forecast(forecast: np.ndarray, *, expected: tuple[int, int, int], origin: int) -> None:
    if forecast.shape != expected:
        raise ValueError(
            f"forecast: shape {forecast.shape} given at origin {origin}, {expected} (series, steps, levels) is needed"
        )
    if not np.isfinite(forecast).all():
        raise ValueError(f"forecast: not finite at origin {origin}; the model has diverged or divided by zero")
    if (np.diff(forecast, axis=-1) < 0).any():
        raise ValueError(f"forecast: quantiles cross at origin {origin}; sort them along the last axis")
