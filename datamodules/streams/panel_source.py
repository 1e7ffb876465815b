"""Panels: daily series of many tickers, and their sources."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from typing_extensions import override

from datamodules.forecasting.published import DailyMarket
from datamodules.table_contract import TableContract
from datamodules.table_reader import as_numbers, read_table, row_name, table_path
from features.series.regularize import time_zone, timestamps


@dataclass(frozen=True)
class Ticker:
    """One series of a panel, without missing values.

    Attributes:
        name: Name of the ticker.
        times: Ascending timestamps, `datetime64[us]` (T,).
        values: Raw values, float64 (T,).
        dropped: Number of rows dropped because they hold no number.
    """

    name: str
    times: np.ndarray
    values: np.ndarray
    dropped: int = 0


class PanelSource(ABC):
    """Source of a panel."""

    time_zone: str | None = None
    """Original time zone of the timestamps, set by `read`; those of tickers are in UTC then."""
    contract: TableContract | None = None
    """Data contract of the table; None without one."""

    @abstractmethod
    def read(self, *, root: str | Path | None) -> list[Ticker]:
        """Reads all tickers; rows without a number are dropped and counted, as nothing was traded there."""


class MarketPanel(PanelSource):
    """Daily closes of market indices and crude oil (bundled with arch).

    Args:
        symbols: Some of `sp500`, `nasdaq` (1999-2018), `wti` (from 1986), `vix` (from 2014).
    """

    def __init__(self, *, symbols: Sequence[str] = ("sp500", "nasdaq", "wti")) -> None:
        self.sources = {symbol: DailyMarket(symbol=symbol, log=False) for symbol in symbols}  # type: ignore[arg-type]

    @override
    def read(self, *, root: str | Path | None) -> list[Ticker]:
        tickers = []
        for name, source in self.sources.items():
            series = source.read(root=root, missing="error")
            tickers.append(Ticker(name=name, times=series.times, values=series.values[:, 0]))
        return tickers


class PanelFile(PanelSource):
    """A parquet or CSV file with a row per ticker and day.

    Args:
        path: The file; relative to the working directory, else below the data root.
        value_column: Values to forecast.
        time_column: Dates or timestamps.
        ticker_column: Names of the tickers; null or empty for a file with one series.
        time_format: Format of a text time column; null parses ISO 8601.
        contract: Data contract that the table has to keep, see `features.contracts`; null for none.
        quarantine: Parquet file of the rows that the contract moves aside.
    """

    def __init__(
        self,
        *,
        path: str | Path,
        value_column: str = "close",
        time_column: str = "date",
        ticker_column: str | None = "ticker",
        time_format: str | None = None,
        contract: str | Path | None = None,
        quarantine: str | Path | None = None,
    ) -> None:
        self.path = path
        self.value_column = value_column
        self.time_column = time_column
        self.ticker_column = ticker_column or None
        self.time_format = time_format
        self.contract = TableContract.given(contract, quarantine=quarantine, key="data.panel")

    @override
    def read(self, *, root: str | Path | None) -> list[Ticker]:
        file = table_path(self.path, root=root, key="data.panel.path")
        columns = [self.time_column, self.value_column, self.ticker_column]
        texts = [self.ticker_column] if self.ticker_column else []
        texts += [] if self.contract is None else self.contract.texts(root=root)
        frame = read_table(file, texts=texts, needed=columns)
        frame = frame if self.contract is None else self.contract.keep(frame, file=file, root=root)
        if not len(frame):
            raise ValueError(f"{file} has no rows")
        name = str(file)
        self.time_zone = time_zone(frame, name=name, column=self.time_column, time_format=self.time_format)
        ticker = (
            pl.Series([self.value_column]).new_from_index(0, len(frame))
            if self.ticker_column is None
            else frame[self.ticker_column].cast(pl.String)
        )
        if ticker.null_count():
            first = row_name(name, ticker.is_null().arg_max() or 0)
            raise ValueError(f"{name}: {self.ticker_column!r} is empty in {first}; name the ticker of every row")
        frame = pl.DataFrame(
            [
                ticker.alias("ticker"),
                timestamps(frame, name=name, column=self.time_column, time_format=self.time_format),
                as_numbers(frame[self.value_column], file=name).alias("value"),
            ]
        )
        twice = frame.filter(pl.struct("ticker", "time").is_duplicated())
        if len(twice):
            raise ValueError(
                f"{name}: {len(twice)} rows repeat a day of their ticker (first: {twice['ticker'][0]} on "
                f"{twice['time'][0]}); leave one row for each"
            )
        tickers = []
        for (key,), part in frame.sort("time").group_by("ticker", maintain_order=True):
            numeric = part.filter(pl.col("value").is_finite())
            if not len(numeric):
                raise ValueError(f"{name}: {key} has no number in {self.value_column!r}; leave it out")
            tickers.append(
                Ticker(
                    name=str(key),
                    times=numeric["time"].to_numpy(),
                    values=numeric["value"].to_numpy(),
                    dropped=len(part) - len(numeric),
                )
            )
        return sorted(tickers, key=lambda ticker: ticker.name)
