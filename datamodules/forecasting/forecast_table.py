"""Forecast table: a row per timestamp and channel of one window's forecast."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from torch import Tensor


def forecast_table(
    forecast: Tensor,
    times: np.ndarray,
    *,
    channels: Sequence[str],
    quantiles: Sequence[float] | None,
    time_zone: str | None,
) -> pl.DataFrame:
    """Columns `time`, `channel`, and `forecast` or one per quantile, `q0.5` and so on; channel by channel.

    Args:
        forecast: (H, C), or (H, C, Q) with quantiles.
        times: Timestamps of the steps, `datetime64[us]` (H,), in UTC where there is a time zone.
        channels: Names (C,).
        quantiles: Levels (Q,); None for one value per step.
        time_zone: The zone to give times in; None leaves them as they are.
    """
    column = pl.Series("time", times)
    if time_zone is not None:
        column = column.dt.replace_time_zone("UTC").dt.convert_time_zone(time_zone)
    names = ["forecast"] if quantiles is None else [f"q{level:g}" for level in quantiles]
    values = forecast.unsqueeze(-1) if forecast.ndim == 2 else forecast
    return pl.concat(
        pl.DataFrame(
            {
                "time": column,
                "channel": [channel] * len(column),
                **{name: values[:, index, level].numpy() for level, name in enumerate(names)},
            }
        )
        for index, channel in enumerate(channels)
    )
