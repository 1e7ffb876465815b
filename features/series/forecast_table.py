"""Forecast table: a row per timestamp and channel of each window's forecast."""

from collections.abc import Sequence

import numpy as np
import polars as pl


def forecast_table(
    forecast: np.ndarray,
    times: np.ndarray,
    *,
    channels: np.ndarray,
    quantiles: Sequence[float] | None,
    time_zone: str | None,
    origins: np.ndarray | None = None,
) -> pl.DataFrame:
    """Columns `time`, `channel`, and `forecast` or one per quantile, `q0.5` and so on; window and channel by channel.

    Args:
        forecast: (N, H, C), or (N, H, C, Q) with quantiles.
        times: Timestamps of the steps, `datetime64[us]` (N, H), in UTC where there is a time zone.
        channels: Names, (N, C) or (C,) for all windows.
        quantiles: Levels (Q,); None for one value per step.
        time_zone: Time zone of the resulting times; None leaves them as they are.
        origins: Times of the last known rows, `datetime64[us]` (N,), for a first column `origin`.
    """
    values = forecast[..., None] if forecast.ndim == 3 else forecast
    count, horizon, width, _ = values.shape
    by_channel = values.transpose(0, 2, 1, 3)  # (N, C, H, Q)
    columns = []
    if origins is not None:
        columns.append(_times("origin", np.repeat(origins, width * horizon), time_zone))
    columns.append(_times("time", np.repeat(times[:, None], width, axis=1).reshape(-1), time_zone))
    names = np.broadcast_to(channels, (count, width)).reshape(-1).tolist()
    if len(names) == 1:
        columns.append(pl.Series("channel", names).new_from_index(0, horizon))
    else:
        columns.append(pl.Series("channel", [name for name in names for _ in range(horizon)], dtype=pl.String))
    labels = ["forecast"] if quantiles is None else [f"q{level:g}" for level in quantiles]
    columns += [
        pl.Series(label, np.ascontiguousarray(by_channel[..., level]).reshape(-1)) for level, label in enumerate(labels)
    ]
    return pl.DataFrame(columns)


def _times(name: str, times: np.ndarray, time_zone: str | None) -> pl.Series:
    column = pl.Series(name, times.astype("datetime64[us]", copy=False))
    if time_zone is not None:
        column = column.dt.replace_time_zone("UTC").dt.convert_time_zone(time_zone)
    return column
