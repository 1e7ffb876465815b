"""Panels: daily series of many tickers, and where they are read from."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from typing_extensions import override

from datamodules.published import DailyMarket


@dataclass(frozen=True)
class Ticker:
    """One series of a panel, with nothing missing.

    Attributes:
        name: What it is called.
        times: Ascending timestamps, `datetime64[us]` (T,).
        values: Raw values, float64 (T,).
    """

    name: str
    times: np.ndarray
    values: np.ndarray


class PanelSource(ABC):
    """A place that a panel is read from."""

    @abstractmethod
    def read(self, *, root: str | None) -> list[Ticker]:
        """Reads all tickers; rows without a number are left out, since nothing was traded there."""


class MarketPanel(PanelSource):
    """Daily closes of market indices and crude oil (bundled with arch).

    Args:
        symbols: Some of `sp500`, `nasdaq` (1999-2018), `wti` (1986 on), `vix` (2014 on).
    """

    def __init__(self, *, symbols: Sequence[str] = ("sp500", "nasdaq", "wti")) -> None:
        self.sources = {symbol: DailyMarket(symbol=symbol, log=False) for symbol in symbols}  # type: ignore[arg-type]

    @override
    def read(self, *, root: str | None) -> list[Ticker]:
        tickers = []
        for name, source in self.sources.items():
            series = source.read(root=root, missing="error")
            tickers.append(Ticker(name=name, times=series.times, values=series.values[:, 0]))
        return tickers


class PanelFile(PanelSource):
    """A parquet or CSV file with a row per ticker and day.

    Args:
        path: The file.
        value_column: What is forecast.
        time_column: Dates or timestamps.
        ticker_column: What tells the series apart; null or empty for a file with one series.
        time_format: Format of a text time column; null recognises ISO 8601.
    """

    def __init__(
        self,
        *,
        path: str,
        value_column: str = "close",
        time_column: str = "date",
        ticker_column: str | None = "ticker",
        time_format: str | None = None,
    ) -> None:
        self.path = path
        self.value_column = value_column
        self.time_column = time_column
        # Empty as well: on a command line null inside a nested class becomes the text None (jsonargparse 4.53).
        self.ticker_column = ticker_column or None
        self.time_format = time_format

    @override
    def read(self, *, root: str | None) -> list[Ticker]:
        frame = self._table()
        ticker = pl.lit(self.value_column) if self.ticker_column is None else pl.col(self.ticker_column).cast(pl.String)
        time, value = pl.col(self.time_column), pl.col(self.value_column).cast(pl.Float64, strict=False)
        if frame.schema[self.time_column] == pl.String:
            time = time.str.to_datetime(self.time_format, time_unit="us")
        frame = frame.select(ticker=ticker, time=time.cast(pl.Datetime("us")), value=value, raw=self.value_column)
        for name, column in (("ticker", self.ticker_column), ("time", self.time_column)):
            if frame[name].null_count():
                raise ValueError(f"{self.path}: {column!r} is empty in row {frame[name].is_null().arg_max()}")
        unread = frame.filter(pl.col("value").is_null() & pl.col("raw").is_not_null())
        if len(unread):
            raise ValueError(f"{self.path}: {self.value_column!r} holds {unread['raw'][0]!r}, which is no number")
        twice = frame.filter(pl.struct("ticker", "time").is_duplicated())
        if len(twice):
            raise ValueError(f"{self.path}: {twice['ticker'][0]} has more than one row for {twice['time'][0]}")
        tickers = []
        for (name,), part in frame.sort("time").group_by("ticker", maintain_order=True):
            found = part.filter(pl.col("value").is_finite())
            if not len(found):
                raise ValueError(f"{self.path}: {name} has no number in {self.value_column!r}; leave it out")
            tickers.append(Ticker(name=str(name), times=found["time"].to_numpy(), values=found["value"].to_numpy()))
        return sorted(tickers, key=lambda ticker: ticker.name)

    def _table(self) -> pl.DataFrame:
        path = Path(self.path).expanduser()
        if not path.exists():
            raise FileNotFoundError(f"data.panel.path: {path} does not exist")
        frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema_length=None)
        wanted = [self.time_column, self.value_column, *((self.ticker_column,) if self.ticker_column else ())]
        missing = [name for name in wanted if name not in frame.columns]
        if missing:
            raise ValueError(f"{path}: no column {missing[0]!r}; it has {', '.join(frame.columns)}")
        if not len(frame):
            raise ValueError(f"{path} has no rows")
        return frame
