"""LongTableFile: many time series in one table, a row per series and time."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
from typing_extensions import override

from datamodules.forecasting.series import RawTable, Series, SeriesSource
from datamodules.table_contract import TableContract
from datamodules.table_reader import NULL_WORDS, read_table, table_path
from features.delta_table import is_delta
from features.series.regularize import MissingPolicy, check_frequency

Ends = tuple[float | str, float | str, float | str]
"""Ends of train, validation and test: fractions of the rows of each series, or ISO dates that are not included."""


class LongTableFile(SeriesSource):
    """A CSV or parquet file with a row per series and time, for `LongForecastingDataModule`.

    The series may differ in length, start and end. Rows at the end of a series without a target are its future: they
    hold the known-future covariates that `predict` needs.

    Args:
        path: The file; relative to the working directory, else below the data root.
        id_column: Name of the column with the series of each row.
        time_column: Name of the time column.
        value_column: Name of the column to forecast.
        frequency: Time between rows as a polars duration (`1h`, `1d`, `1mo`), the same for all series; None accepts
            uneven steps, where gaps cannot be detected.
        time_format: Format of the time column in chrono's notation; None parses ISO 8601.
        split: Ends of train, validation and test of each series: fractions of its rows, or dates such as
            `2017-01-01`, the first that is not included any more.
        past_covariates: Columns known up to the forecast origin.
        future_covariates: Columns known over the horizon as well.
        static_attributes: Columns that are constant within a series: numbers, or texts, which become one input per text
            of the training series.
        static_path: A second file with a row per series, `id_column` and `static_attributes`; None looks for them in
            the first.
        contract: Data contract that the table has to keep, see `features.contracts`; None for none.
        quarantine: Parquet file of the rows that the contract moves aside.
    """

    def __init__(
        self,
        *,
        path: str | Path,
        id_column: str = "unique_id",
        time_column: str = "ds",
        value_column: str = "y",
        frequency: str | None = None,
        time_format: str | None = None,
        split: Ends = (0.7, 0.8, 1.0),
        past_covariates: Sequence[str] = (),
        future_covariates: Sequence[str] = (),
        static_attributes: Sequence[str] = (),
        static_path: str | Path | None = None,
        contract: str | Path | None = None,
        quarantine: str | Path | None = None,
    ) -> None:
        check_frequency(frequency, key="series.frequency")
        if static_path is not None and not static_attributes:
            raise ValueError(
                f"series.static_path: {str(static_path)!r} given, without static_attributes to take from it"
            )
        self.path = path
        self.id_column = id_column
        self.time_column = time_column
        self.value_column = value_column
        self.frequency = frequency
        self.time_format = time_format
        self.split = (0.7, 0.8, 1.0)
        self.ends = split
        self.past_covariates = tuple(past_covariates)
        self.future_covariates = tuple(future_covariates)
        self.static_attributes = tuple(static_attributes)
        self.static_path = static_path
        self._contract = TableContract.given(contract, quarantine=quarantine, key="series")

    @property
    @override
    def contract(self) -> TableContract | None:
        return self._contract

    @override
    def channels(self, *, root: str | Path | None) -> tuple[str, ...]:
        return (self.value_column,)

    @override
    def read(self, *, root: str | Path | None, missing: MissingPolicy) -> Series:
        raise ValueError(f"series: {str(self.path)!r} is a long table of many series; use LongForecastingDataModule")

    @override
    def describe(self) -> str:
        return f"LongTableFile `{self.path}`"

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

    @override
    def raw_table(self, *, root: str | Path | None) -> RawTable:
        own = self.static_attributes if self.static_path is None else ()
        columns = [self.id_column, self.time_column, self.value_column]
        columns += [*self.past_covariates, *self.future_covariates, *own]
        file, texts = self.file(root), [self.id_column]
        texts += [] if self._contract is None else self._contract.texts(root=root)
        frame = read_table(file, null_values=NULL_WORDS, texts=texts, needed=columns)
        if is_delta(file):  # its rows have no order
            frame = frame.sort(self.time_column, maintain_order=True)
        frame = frame if self._contract is None else self._contract.keep(frame, file=file, root=root)
        return RawTable(
            frame,
            self.time_column,
            self.time_format,
            past_covariates=self.past_covariates,
            future_covariates=self.future_covariates,
        )

    def file(self, root: str | Path | None) -> Path:
        """The file."""
        return table_path(self.path, root=root, key="series.path")

    def static_table(self, frame: pl.DataFrame, *, root: str | Path | None) -> pl.DataFrame:
        """Static attributes, a row per series: `id` as text, and a column per attribute.

        Args:
            frame: The table of all series.
            root: The data root.

        Raises:
            ValueError: A series has none, or several.
        """
        source, file = frame, self.file(root)
        if self.static_path is not None:
            file = table_path(self.static_path, root=root, key="series.static_path")
            needed = [self.id_column, *self.static_attributes]
            source = read_table(file, null_values=NULL_WORDS, texts=[self.id_column], needed=needed)
        rows = source.select(pl.col(self.id_column).cast(pl.String).alias("id"), *self.static_attributes).unique(
            maintain_order=True
        )
        if rows["id"].is_duplicated().any():
            label = rows.filter(pl.col("id").is_duplicated())["id"][0]
            raise ValueError(f"{file}: series {label!r} has several values of {', '.join(self.static_attributes)}")
        ids = frame[self.id_column].cast(pl.String).unique(maintain_order=True)
        if absent := ids.filter(~ids.is_in(rows["id"].implode())).to_list():
            raise ValueError(f"{file}: it has no row for {len(absent):,} series (first: {absent[0]!r})")
        return ids.alias("id").to_frame().join(rows, on="id", how="left", maintain_order="left")
