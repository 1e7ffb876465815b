"""A series from a table of one's own."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from typing_extensions import override

from datamodules.regularize import MissingPolicy
from datamodules.series import Boundary, Series, SeriesSource, build_series
from datamodules.sources import data_root

_NULL_VALUES = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "None", "-")


class TableFile(SeriesSource):
    """Any CSV or parquet file with a time column.

    Rows at the end whose target channels are all empty are the future: they carry the known-future covariates
    that `predict` needs, and nothing else reads them.

    Args:
        path: The file; looked for as given, then below the data root.
        time_column: Name of the time column.
        channels: Names of the target columns; None takes every other numeric column.
        frequency: Time between rows as a polars duration (`15m`, `1h`, `1d`, `1w`); None accepts uneven steps
            (trading days), so that gaps cannot be seen.
        time_format: Format of the time column in chrono's notation, e.g. `%Y-%m-%d %H:%M`; None recognises ISO 8601.
        split: Where train, validation and test end, as row counts or shares of all rows.
        past_covariates: Columns that are known up to the forecast origin.
        future_covariates: Columns that are known over the horizon too.
        static_covariates: For each channel a list of numbers that describe it.
    """

    def __init__(
        self,
        *,
        path: str,
        time_column: str,
        channels: Sequence[str] | None = None,
        frequency: str | None = None,
        time_format: str | None = None,
        split: tuple[Boundary, Boundary, Boundary] = (0.7, 0.8, 1.0),
        past_covariates: Sequence[str] = (),
        future_covariates: Sequence[str] = (),
        static_covariates: dict[str, list[float]] | None = None,
    ) -> None:
        self.path = path
        self.time_column = time_column
        self.frequency = frequency
        self.time_format = time_format
        self.split = split
        self._channels = tuple(channels) if channels is not None else None
        self.past_covariates = tuple(past_covariates)
        self.future_covariates = tuple(future_covariates)
        self.static_covariates = static_covariates or {}

    @override
    def channels(self, *, root: str | None) -> tuple[str, ...]:
        if self._channels is not None:
            return self._channels
        schema = self._scan(root).collect_schema()
        taken = {self.time_column, *self.past_covariates, *self.future_covariates}
        numeric = tuple(name for name, dtype in schema.items() if dtype.is_numeric() and name not in taken)
        if not numeric:
            raise ValueError(f"{self.path} has no numeric column besides {sorted(taken)}; its columns: {list(schema)}")
        return numeric

    @property
    @override
    def num_past_covariates(self) -> int:
        return len(self.past_covariates)

    @property
    @override
    def num_future_covariates(self) -> int:
        return len(self.future_covariates)

    @property
    @override
    def num_static_covariates(self) -> int:
        return len(next(iter(self.static_covariates.values()), ()))

    @override
    def read(self, *, root: str | None, missing: MissingPolicy) -> Series:
        try:
            frame = self._scan(root).collect()
        except pl.exceptions.PolarsError as error:
            raise ValueError(f"{self.path} is no readable table: {error}") from error
        channels = self.channels(root=root)
        return build_series(
            frame,
            name=self.path,
            time_column=self.time_column,
            time_format=self.time_format,
            frequency=self.frequency,
            missing=missing,
            columns=(*channels, *self.past_covariates, *self.future_covariates),
            num_channels=len(channels),
            num_past_covariates=len(self.past_covariates),
            static_covariates=self._static_table(channels),
        )

    def _scan(self, root: str | None) -> pl.LazyFrame:
        candidates = [Path(self.path).expanduser(), data_root(root) / self.path]
        path = next((candidate for candidate in candidates if candidate.is_file()), None)
        if path is None:
            raise FileNotFoundError(
                f"series.path: {self.path!r} does not exist; looked for {' and '.join(map(str, candidates))}"
            )
        if path.stat().st_size == 0:
            raise ValueError(f"{path} is empty")
        name = path.name.removesuffix(".gz")
        if name.endswith(".csv"):
            return pl.scan_csv(path, infer_schema_length=None, null_values=list(_NULL_VALUES))
        if name.endswith((".parquet", ".pq")):
            return pl.scan_parquet(path)
        raise ValueError(f"series.path: {path} ends with {path.suffix!r}; allowed: .csv, .csv.gz, .parquet, .pq")

    def _static_table(self, channels: tuple[str, ...]) -> np.ndarray:
        if not self.static_covariates:
            return np.zeros((len(channels), 0))
        if set(self.static_covariates) != set(channels):
            raise ValueError(
                f"series.static_covariates has channels {sorted(self.static_covariates)}, the series {list(channels)}"
            )
        return np.array([self.static_covariates[channel] for channel in channels], dtype=np.float64)
