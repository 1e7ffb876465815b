"""Sources of time series: files of the user, published files."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from datamodules.table_contract import TableContract
from features.series.regularize import MissingPolicy
from features.series.series import Series, build_series

__all__ = ["Boundary", "RawTable", "Series", "SeriesSource", "build_series"]

Boundary = int | float
"""A row count (int), or a fraction of all rows (float in (0, 1])."""


@dataclass(frozen=True)
class RawTable:
    """The table that a source regularises: what users of a package supply too.

    Attributes:
        frame: The rows.
        time_column: Name of the time column.
        time_format: Format of a text or integer time column; None parses ISO 8601.
        time_parts: Columns that are joined to `time_column`, which the table lacks; empty if it has it.
        past_covariates: Columns known up to the forecast origin.
        future_covariates: Columns known over the horizon as well.
        unit: Unit of the targets in words; None for that of the table.
    """

    frame: pl.DataFrame
    time_column: str
    time_format: str | None = None
    time_parts: tuple[str, ...] = ()
    past_covariates: tuple[str, ...] = ()
    future_covariates: tuple[str, ...] = ()
    unit: str | None = None


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

    def raw_table(self, *, root: str | Path | None) -> RawTable | None:  # noqa: ARG002
        """The table before regularisation; None if packages cannot answer such tables.

        Args:
            root: The data root, see `datamodules.sources.data_root`.
        """
        return None

    def describe(self) -> str:
        """Name of the source in the report."""
        return type(self).__name__

    @property
    def settled_arguments(self) -> dict[str, Any]:
        """Arguments that were left to the data, by name, with what was found; known once the series was read."""
        return {}

    def notes(self) -> list[str]:
        """What was found in the data, one line each; called once the series was read."""
        return []

    @property
    def contract(self) -> TableContract | None:
        """Data contract of the table; None without one."""
        return None

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
