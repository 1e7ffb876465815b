"""Panels: daily series of many tickers, and their sources."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl
from typing_extensions import override

from datamodules.forecasting.published import DailyMarket
from datamodules.table_contract import TableContract
from datamodules.table_reader import number_columns, read_table, table_path
from features.series.panel import Ticker, read_panel
from features.series.panel_spec import PanelColumns, check_panel_frequency
from features.series.regularize import time_zone


@dataclass(frozen=True)
class RawPanel:
    """The table that a panel was read from.

    Attributes:
        frame: Its rows.
        columns: Roles of its columns.
    """

    frame: pl.DataFrame
    columns: PanelColumns


class PanelSource(ABC):
    """Source of a panel."""

    time_zone: str | None = None
    """Original time zone of the timestamps, set by `read`; those of tickers are in UTC then."""
    contract: TableContract | None = None
    """Data contract of the table; None without one."""
    frequency: str | None = None
    """Time between rows as a polars duration, or `weekdays`; None where it is not known."""

    @abstractmethod
    def read(self, *, root: str | Path | None) -> list[Ticker]:
        """Reads all tickers; rows without a number are dropped and counted, as nothing was traded there."""

    def raw_table(self, *, root: str | Path | None) -> RawPanel | None:  # noqa: ARG002
        """The table that packages of models on this panel answer too; None if they take values alone."""
        return None


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

    @override
    def raw_table(self, *, root: str | Path | None) -> RawPanel:
        parts = [
            pl.DataFrame({"ticker": [ticker.name] * len(ticker.values), "date": ticker.times, "close": ticker.values})
            for ticker in self.read(root=root)
        ]
        columns = PanelColumns(time_column="date", value_columns=("close",), id_column="ticker")
        return RawPanel(pl.concat(parts), columns)


class PanelFile(PanelSource):
    """A parquet or CSV file: a row per ticker and day, or a row per day and a column per ticker.

    Args:
        path: The file; relative to the working directory, else below the data root.
        value_column: Values to forecast.
        time_column: Dates or timestamps.
        ticker_column: Names of the tickers; null or empty for a file with one series.
        time_format: Format of a text time column; null parses ISO 8601.
        contract: Data contract that the table has to keep, see `features.contracts`; null for none.
        quarantine: Parquet file of the rows that the contract moves aside.
        value_columns: Columns of a wide file, each a series with the name of the column, or `all` for every column but
            that of times; then there is neither `value_column` nor `ticker_column`.
        frequency: Time between rows, e.g. `1d`, `1h`, or `weekdays` for Monday to Friday without holidays; names the
            times of forecasts. Null where days without trading are not known: forecasts have their steps alone.
        exclude: Columns to leave out of `value_columns: all`.
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
        value_columns: Sequence[str] | Literal["all"] | None = None,
        frequency: str | None = None,
        exclude: Sequence[str] = (),
    ) -> None:
        check_panel_frequency(frequency, key="data.panel.frequency")
        self.path = path
        self.value_column = value_column
        self.time_column = time_column
        self.ticker_column = ticker_column or None
        self.time_format = time_format
        self.contract = TableContract.given(contract, quarantine=quarantine, key="data.panel")
        self.value_columns = value_columns
        self.frequency = frequency
        self.exclude = tuple(exclude)
        if value_columns is not None and (value_column != "close" or ticker_column not in ("ticker", "", None)):
            raise ValueError(
                "data.panel.value_columns: given with value_column or ticker_column; a wide file has a column per "
                "series, a long one a column of names: leave one of them out"
            )
        if isinstance(value_columns, str) and value_columns != "all":
            raise ValueError(f"data.panel.value_columns: {value_columns!r} given, a list of columns or all is needed")
        if exclude and value_columns != "all":
            raise ValueError(
                f"data.panel.exclude: {list(exclude)} given without value_columns: all; other columns are not read"
            )
        if value_columns == "all":
            return
        try:
            self._columns(value_columns or ()).check()
        except ValueError as error:
            raise ValueError(f"data.panel.{error}") from error

    @override
    def raw_table(self, *, root: str | Path | None) -> RawPanel:
        return self._table(root)[0]

    @override
    def read(self, *, root: str | Path | None) -> list[Ticker]:
        raw, name = self._table(root)
        if len(raw.frame):
            self.time_zone = time_zone(raw.frame, name=name, column=self.time_column, time_format=self.time_format)
        tickers = read_panel(raw.frame, raw.columns, name=name)
        if empty := next((ticker for ticker in tickers if not len(ticker.values)), None):
            where = empty.name if raw.columns.id_column is None else self.value_column
            raise ValueError(f"{name}: {empty.name} has no number in {where!r}; leave it out")
        return tickers

    def _table(self, root: str | Path | None) -> tuple[RawPanel, str]:
        """The table with the roles of its columns, and its name for messages."""
        file = table_path(self.path, root=root, key="data.panel.path")
        is_wide = self.value_columns is not None
        texts = [] if is_wide or self.ticker_column is None else [self.ticker_column]
        texts += [] if self.contract is None else self.contract.texts(root=root)
        advice = "; data.panel.time_column names that of times"
        frame = read_table(file, texts=texts, needed=[self.time_column], advice=advice)
        frame = frame if self.contract is None else self.contract.keep(frame, file=file, root=root)
        if self.value_columns == "all":
            key = "data.panel.exclude"
            taken = number_columns(frame, file=str(file), taken=[self.time_column], exclude=self.exclude, key=key)
            return RawPanel(frame, self._columns(taken)), str(file)
        columns = self._columns(self.value_columns or ())
        if absent := [name for name in columns.names if name not in frame.columns]:
            wide = "" if is_wide else "; of a file with a column per series, value_columns: all takes every one"
            raise ValueError(f"{file}: no column {absent[0]!r}; it has {', '.join(frame.columns)}{wide}")
        return RawPanel(frame, columns), str(file)

    def _columns(self, wide: Sequence[str]) -> PanelColumns:
        """Roles of the columns.

        Args:
            wide: Columns of a wide file, each a series.
        """
        is_wide = self.value_columns is not None
        return PanelColumns(
            time_column=self.time_column,
            value_columns=tuple(wide) if is_wide else (self.value_column,),
            id_column=None if is_wide else self.ticker_column,
            time_format=self.time_format,
        )
