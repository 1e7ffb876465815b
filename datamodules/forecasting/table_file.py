"""TableFile: a time series from a user's CSV or parquet file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from typing_extensions import override

from datamodules.forecasting.found_times import find_frequency, find_time_column, unseen_gaps
from datamodules.forecasting.odd_channels import odd_channels
from datamodules.forecasting.series import Boundary, RawTable, Series, SeriesSource, build_series
from datamodules.table_contract import TableContract
from datamodules.table_reader import NULL_WORDS, number_columns, read_table, table_path
from features.delta_table import is_delta
from features.series.regularize import MissingPolicy, check_frequency, joined_name, timestamps, with_joined_time


class TableFile(SeriesSource):
    """Any CSV or parquet file with a time column.

    Rows at the end whose target channels are all empty are the future: they hold the known-future covariates that
    `predict` needs, and are not used otherwise.

    Args:
        path: The file; relative to the working directory, else below the data root.
        time_column: Name of the time column, or of several whose texts, joined by spaces, are the time (a date and an
            hour, with the `time_format` `%Y-%m-%d %H`); None takes the only column that holds times.
        channels: Names of the target columns; None takes every column without another role, and raises if one is not
            numeric unless it is in `exclude`.
        frequency: Time between rows as a polars duration (`15m`, `1h`, `1d`, `1w`); None accepts uneven steps
            (e.g. trading days), where gaps are neither refused nor filled, and says so if all but a few steps are
            alike; `auto` takes the step of nine in ten rows, if the others are gaps of whole steps, and uneven steps
            otherwise.
        time_format: Format of the time column in chrono's notation, e.g. `%Y-%m-%d %H:%M`; None parses ISO 8601.
        split: Ends of train, validation and test, as row counts or fractions of all rows.
        past_covariates: Columns known up to the forecast origin.
        future_covariates: Columns known over the horizon as well.
        static_covariates: A list of numbers for each channel.
        exclude: Columns to leave out if `channels` is None.
        contract: Data contract that the table has to keep, see `features.contracts`; None for none.
        quarantine: Parquet file of the rows that the contract moves aside.
    """

    def __init__(
        self,
        *,
        path: str | Path,
        time_column: str | list[str] | None = None,
        channels: Sequence[str] | None = None,
        frequency: str | None = None,
        time_format: str | None = None,
        split: tuple[Boundary, Boundary, Boundary] = (0.7, 0.8, 1.0),
        past_covariates: Sequence[str] = (),
        future_covariates: Sequence[str] = (),
        static_covariates: dict[str, list[float]] | None = None,
        exclude: Sequence[str] = (),
        contract: str | Path | None = None,
        quarantine: str | Path | None = None,
    ) -> None:
        if frequency != "auto":
            check_frequency(frequency, key="series.frequency")
        if channels is not None and exclude:
            raise ValueError(
                f"series.exclude: {list(exclude)} given beside series.channels {list(channels)}, which name what is "
                "taken; give one of the two"
            )
        self.path = path
        self.time_parts = () if time_column is None or isinstance(time_column, str) else tuple(time_column)
        self._time_column = joined_name(self.time_parts) if isinstance(time_column, list) else time_column
        self._frequency = frequency
        self.time_format = time_format
        self._found: dict[str, Any] = {}
        self._odd: list[str] = []
        self._gaps: list[str] = []
        self.split = split
        self._channels = tuple(channels) if channels is not None else None
        self.past_covariates = tuple(past_covariates)
        self.future_covariates = tuple(future_covariates)
        self.static_covariates = static_covariates or {}
        self.exclude = tuple(exclude)
        self._contract = TableContract.given(contract, quarantine=quarantine, key="series")

    @property
    def time_column(self) -> str:
        """Name of the time column; known once the table was read, where it was not given."""
        assert self._time_column is not None
        return self._time_column

    @property
    @override
    def frequency(self) -> str | None:  # type: ignore[override]
        return None if self._frequency == "auto" else self._frequency

    @property
    @override
    def settled_arguments(self) -> dict[str, Any]:
        return dict(self._found)

    @override
    def notes(self) -> list[str]:
        if not self._found:
            return [*self._odd, *self._gaps]
        values = {"frequency": "uneven steps", "time_format": "ISO 8601"}
        found = [f"{name} {values.get(name, '') if value is None else value}" for name, value in self._found.items()]
        return [f"found in {self.path}: {', '.join(found)}", *self._odd, *self._gaps]

    @property
    @override
    def contract(self) -> TableContract | None:
        return self._contract

    @override
    def channels(self, *, root: str | Path | None) -> tuple[str, ...]:
        if self._channels is None:
            table = self._table(root)
            self._channels = tuple(
                number_columns(
                    table,
                    file=str(self._file(root)),
                    taken=[self.time_column, *self.time_parts, *self.past_covariates, *self.future_covariates],
                    exclude=self.exclude,
                    key="series.exclude",
                )
            )
            self._odd = odd_channels(table.select(self._channels), path=self.path)
        return self._channels

    @override
    def describe(self) -> str:
        return f"TableFile `{self.path}`"

    @property
    @override
    def covariate_columns(self) -> dict[str, tuple[str, ...]]:
        return {"past_covariates": self.past_covariates, "future_covariates": self.future_covariates}

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
    def read(self, *, root: str | Path | None, missing: MissingPolicy) -> Series:
        table, channels = self._table(root), self.channels(root=root)
        series = build_series(
            with_joined_time(table, column=self.time_column, parts=self.time_parts),
            name=str(self._file(root)),
            time_column=self.time_column,
            time_format=self.time_format,
            frequency=self.frequency,
            missing=missing,
            columns=(*channels, *self.past_covariates, *self.future_covariates),
            num_channels=len(channels),
            num_past_covariates=len(self.past_covariates),
            static_covariates=self._static_table(channels),
        )
        if self._frequency is None and missing != "rows":
            self._gaps = unseen_gaps(pl.Series(series.times), path=self.path)
        return series

    @override
    def raw_table(self, *, root: str | Path | None) -> RawTable:
        table = self._table(root)
        return RawTable(
            table,
            self.time_column,
            self.time_format,
            self.time_parts,
            past_covariates=self.past_covariates,
            future_covariates=self.future_covariates,
        )

    def _file(self, root: str | Path | None) -> Path:
        return table_path(self.path, root=root, key="series.path")

    def _table(self, root: str | Path | None) -> pl.DataFrame:
        file = self._file(root)
        texts = [] if self._contract is None else self._contract.texts(root=root)
        named = [] if self._time_column is None else [self._time_column]
        frame = read_table(file, null_values=NULL_WORDS, texts=texts, needed=self.time_parts or named)
        self._settle(frame, file)
        if is_delta(file):  # its rows have no order: each append may come first or last
            frame = frame.sort(*(self.time_parts or [self.time_column]), maintain_order=True)
        return frame if self._contract is None else self._contract.keep(frame, file=file, root=root)

    def _settle(self, frame: pl.DataFrame, file: Path) -> None:
        """Finds what was left to the table."""
        if self._time_column is None:
            roles = [*(self._channels or ()), *self.past_covariates, *self.future_covariates]
            found = find_time_column(frame, file=str(file), taken=[*roles, *self.exclude], time_format=self.time_format)
            self._time_column, self.time_format = found.column, found.time_format
            self._found |= {"time_column": found.column, "time_format": found.time_format}
        if self._frequency == "auto":
            joined = with_joined_time(frame, column=self.time_column, parts=self.time_parts)
            times = timestamps(joined, name=str(file), column=self.time_column, time_format=self.time_format)
            self._frequency = find_frequency(times)
            self._found["frequency"] = self._frequency

    def _static_table(self, channels: tuple[str, ...]) -> np.ndarray:
        if not self.static_covariates:
            return np.zeros((len(channels), 0))
        if set(self.static_covariates) != set(channels):
            raise ValueError(
                f"series.static_covariates has channels {sorted(self.static_covariates)}, the series {list(channels)}"
            )
        return np.array([self.static_covariates[channel] for channel in channels], dtype=np.float64)
