"""Time series, their sources, and the construction of a series from a table."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from features.series.regularize import MissingPolicy, regularize, time_zone
from features.series.repairs import Repairs

Boundary = int | float
"""A row count (int), or a fraction of all rows (float in (0, 1])."""


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


class SeriesSource(ABC):
    """Source of a `Series`, with its default split into train, validation and test rows."""

    frequency: str | None
    split: tuple[Boundary, Boundary, Boundary]

    @abstractmethod
    def channels(self, *, root: str | Path | None) -> tuple[str, ...]:
        """Names of the target channels; downloads nothing."""

    @abstractmethod
    def read(self, *, root: str | Path | None, missing: MissingPolicy) -> Series:
        """Reads the series.

        Args:
            root: The data root, see `datamodules.sources.data_root`.
            missing: Policy for gaps, duplicated or unsorted timestamps, NaN and inf.
        """

    def describe(self) -> str:
        """Name of the source in the report."""
        return type(self).__name__

    @property
    def covariate_columns(self) -> dict[str, tuple[str, ...]]:
        """Names of the columns of `past_covariates` and `future_covariates`, if the source knows them."""
        return {}

    @property
    def num_past_covariates(self) -> int:
        """Number of columns known up to the origin, P."""
        return 0

    @property
    def num_future_covariates(self) -> int:
        """Number of columns known over the horizon, K."""
        return 0

    @property
    def num_static_covariates(self) -> int:
        """Number of attributes of a channel, S."""
        return 0


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
        frequency: Time between rows, see `TableFile`.
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
