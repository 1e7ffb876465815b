"""Series: a regularised time series with its covariates, and its construction from a table."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from features.series.calendar import CalendarFeature, calendar_features, extend
from features.series.regularize import MissingPolicy, regularize, time_zone
from features.series.repairs import Repairs


@dataclass(frozen=True)
class Series:
    """A multivariate time series with its covariates, one row per time step.

    Attributes:
        times: Timestamps, `datetime64[us]` (T + F,), ascending; the last F rows are after the observed series.
        values: Target channels, float64 (T, C). Missing values are filled from the past.
        observed: False where a value was missing, bool (T, C).
        past_covariates: Columns known up to the forecast origin, float64 (T, P).
        future_covariates: Columns known over the horizon as well, float64 (T + F, K).
        static_covariates: Attributes of each channel, float64 (C, S).
        channels: Names of the target channels.
        repairs: Counts of sorted, dropped, inserted and filled rows; None if not counted.
        time_zone: Original zone of the timestamps, with `times` in UTC; None for naive timestamps.
    """

    times: np.ndarray
    values: np.ndarray
    observed: np.ndarray
    past_covariates: np.ndarray
    future_covariates: np.ndarray
    static_covariates: np.ndarray
    channels: tuple[str, ...]
    repairs: Repairs | None = None
    time_zone: str | None = None

    def __len__(self) -> int:
        return len(self.values)


def build_series(
    frame: pl.DataFrame,
    *,
    name: str,
    time_column: str,
    frequency: str | None,
    missing: MissingPolicy,
    columns: Sequence[str],
    time_format: str | None = None,
    num_channels: int | None = None,
    num_past_covariates: int = 0,
    static_covariates: np.ndarray | None = None,
) -> Series:
    """Validates a table and converts it to a `Series`.

    Args:
        frame: The table.
        name: Name for messages; the file, if there is one.
        time_column: Name of the time column.
        frequency: Time between rows, as a polars duration; None for uneven steps.
        missing: Policy for irregular rows and values.
        columns: Target channels, then past covariates, then known-future covariates.
        time_format: Format of a text time column; None parses ISO 8601.
        num_channels: Number of target channels in `columns`; None for all.
        num_past_covariates: Number of past covariates in `columns`.
        static_covariates: (C, S), or None.

    Raises:
        ValueError: A column is missing, the table is empty, or it is irregular and `missing` is `error`.
    """
    num_channels = len(columns) if num_channels is None else num_channels
    first_future = num_channels + num_past_covariates
    times, table, observed, repairs = regularize(
        frame,
        name=name,
        time_column=time_column,
        time_format=time_format,
        frequency=frequency,
        columns=columns,
        num_channels=num_channels,
        missing=missing,
        num_past_covariates=num_past_covariates,
    )
    length = len(observed)
    return Series(
        times=times,
        values=table[:length, :num_channels],
        observed=observed[:, :num_channels],
        past_covariates=table[:length, num_channels:first_future],
        future_covariates=table[:, first_future:],
        static_covariates=np.zeros((num_channels, 0)) if static_covariates is None else static_covariates,
        channels=tuple(columns[:num_channels]),
        repairs=repairs,
        time_zone=time_zone(frame, name=name, column=time_column, time_format=time_format),
    )


def with_calendar(
    series: Series, calendar: Sequence[CalendarFeature], *, frequency: str | None, horizon: int
) -> Series:
    """Adds calendar features to the known-future covariates, and rows for a horizon after the end of the series.

    Args:
        series: The series.
        calendar: Features to add.
        frequency: Time between rows as a polars duration; None continues with the median step.
        horizon: Rows after the end, as far as the other known-future covariates reach.
    """
    if not calendar and series.future_covariates.shape[1]:
        return series
    length = len(series) + horizon
    if series.future_covariates.shape[1]:
        length = min(length, len(series.future_covariates))
    times = extend(series.times, frequency, length)
    features = calendar_features(times, calendar)
    return replace(
        series,
        times=times,
        future_covariates=np.concatenate([_first_rows(series.future_covariates, length), features], axis=1),
    )


def _first_rows(table: np.ndarray, length: int) -> np.ndarray:
    return table[:length] if table.shape[1] else np.zeros((length, 0))
