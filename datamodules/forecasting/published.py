"""Published series: public CSV files, and series bundled with installed packages."""

from pathlib import Path
from typing import ClassVar, Literal

import polars as pl
from typing_extensions import override

from datamodules.forecasting.series import RawTable, Series, SeriesSource, build_series
from datamodules.sources import RawFile, fetch, packaged_file
from features.series.regularize import MissingPolicy


class PublishedFile(SeriesSource):
    """A public CSV file, with the split used in the literature."""

    raw_file: RawFile
    names: tuple[str, ...]
    time_format: str | None = None

    @override
    def channels(self, *, root: str | Path | None) -> tuple[str, ...]:
        return self.names

    @override
    def read(self, *, root: str | Path | None, missing: MissingPolicy) -> Series:
        return build_series(
            self.raw_table(root=root).frame,
            name=self.raw_file.path,
            time_column="date",
            time_format=self.time_format,
            frequency=self.frequency,
            missing=missing,
            columns=self.names,
        )

    @override
    def raw_table(self, *, root: str | Path | None) -> RawTable:
        return RawTable(pl.read_csv(fetch(self.raw_file, root=root)), "date", self.time_format)


class ETT(PublishedFile):
    """Electricity transformer temperature: ETTh1, 17,420 hours of 7 channels (Zhou et al., Informer, AAAI 2021).

    The published split uses the first 20 months of 30 days: 12 to train, 4 to validate, 4 to test.
    """

    frequency = "1h"
    split = (8640, 11520, 14400)
    names = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
    raw_file = RawFile(
        path="ett/ETTh1.csv",
        url="https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/ETTh1.csv",
        sha256="f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
    )


class ExchangeRate(PublishedFile):
    """Daily exchange rates of 8 countries, 7,588 days from 1990 (Lai et al., LSTNet, SIGIR 2018), split 70/10/20."""

    frequency = "1d"
    split = (5311, 6071, 7588)
    names = ("0", "1", "2", "3", "4", "5", "6", "OT")
    time_format = "%Y/%m/%d %H:%M"
    raw_file = RawFile(
        path="exchange_rate/exchange_rate.csv",
        url="https://huggingface.co/datasets/thuml/Time-Series-Library/resolve/main/exchange_rate/exchange_rate.csv",
        sha256="d55e7aa2641009814a18ba3279431b13f6d413b0eab195b9ff21988d8cf94e97",
    )


class WeeklyCO2(SeriesSource):
    """Atmospheric CO2 at Mauna Loa, weekly 1958-2001 in ppm, with 59 missing weeks (bundled with statsmodels)."""

    frequency = "1w"
    split = (0.7, 0.8, 1.0)

    @override
    def channels(self, *, root: str | Path | None) -> tuple[str, ...]:
        return ("co2",)

    @override
    def read(self, *, root: str | Path | None, missing: MissingPolicy) -> Series:
        table = self.raw_table(root=root)
        return build_series(
            table.frame,
            name="co2",
            time_column=table.time_column,
            time_format=table.time_format,
            frequency=self.frequency,
            missing=missing,
            columns=self.channels(root=root),
        )

    @override
    def raw_table(self, *, root: str | Path | None) -> RawTable:
        frame = pl.read_csv(packaged_file("statsmodels", "datasets/co2/co2.csv", extra="data"))
        return RawTable(frame.with_columns(pl.col("date").cast(pl.String)), "date", "%Y%m%d", unit="ppm")


class DailyMarket(SeriesSource):
    """Daily closes of S&P 500, NASDAQ, WTI crude or VIX (bundled with arch); trading days, so steps are uneven.

    Args:
        symbol: `sp500` and `nasdaq` (1999-2018), `wti` (from 1986), `vix` (from 2014).
        log: Return natural logarithms, so that differences are log returns.
    """

    frequency = None
    split = (0.7, 0.8, 1.0)
    _columns: ClassVar = {"sp500": "Adj Close", "nasdaq": "Adj Close", "wti": "DCOILWTICO", "vix": "vix"}

    def __init__(self, *, symbol: Literal["sp500", "nasdaq", "wti", "vix"], log: bool = True) -> None:
        if symbol not in self._columns:
            raise ValueError(f"series.symbol: {symbol!r} is not one of {list(self._columns)}")
        self.symbol = symbol
        self.log = log

    @override
    def channels(self, *, root: str | Path | None) -> tuple[str, ...]:
        return (self.symbol,)

    @override
    def read(self, *, root: str | Path | None, missing: MissingPolicy) -> Series:
        table = self.raw_table(root=root)
        return build_series(
            table.frame,
            name=self.symbol,
            time_column=table.time_column,
            time_format=table.time_format,
            frequency=None,
            missing=missing,
            columns=self.channels(root=root),
        )

    @override
    def raw_table(self, *, root: str | Path | None) -> RawTable:
        path = packaged_file("arch", f"data/{self.symbol}/{self.symbol}.csv.gz", extra="data")
        close = pl.col(self._columns[self.symbol])
        frame = pl.read_csv(path, infer_schema=False).select(
            pl.col("Date"), close.cast(pl.Float64, strict=False).alias(self.symbol)
        )
        # Two of the files have rows without a number for holidays: no trade, no row.
        frame = frame.drop_nulls(self.symbol)
        if self.log:
            frame = frame.with_columns(pl.col(self.symbol).log())
        return RawTable(frame, "Date", "%m/%d/%Y", unit="natural logarithm" if self.log else None)
