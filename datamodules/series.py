"""Time series and where they are read from."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import polars as pl
from typing_extensions import override

from datamodules.regularize import MissingPolicy, regularize
from datamodules.sources import RawFile, data_root, fetch, packaged_file

Boundary = int | float
"""A row count (int), or a share of all rows (float in (0, 1])."""


@dataclass(frozen=True)
class Series:
    """A multivariate time series with its covariates, one row per time step.

    Attributes:
        times: Timestamps, `datetime64[us]` (T + F,), ascending; the last F rows lie beyond the observed series.
        values: Target channels, float64 (T, C). Missing values are filled from the past.
        observed: False where a value was missing, bool (T, C).
        past_covariates: Columns known up to the forecast origin, float64 (T, P).
        future_covariates: Columns known over the horizon too, float64 (T + F, K).
        static_covariates: Attributes of each channel, float64 (C, S).
        channels: Names of the target channels.
    """

    times: np.ndarray
    values: np.ndarray
    observed: np.ndarray
    past_covariates: np.ndarray
    future_covariates: np.ndarray
    static_covariates: np.ndarray
    channels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)


class SeriesSource(ABC):
    """A place that a `Series` is read from, with its usual split into train, validation and test rows."""

    frequency: str | None
    split: tuple[Boundary, Boundary, Boundary]

    @abstractmethod
    def channels(self, *, root: str | None) -> tuple[str, ...]:
        """Names of the target channels; cheap, nothing is downloaded for it."""

    @abstractmethod
    def read(self, *, root: str | None, missing: MissingPolicy) -> Series:
        """Reads the series.

        Args:
            root: The data root, see `datamodules.sources.data_root`.
            missing: What to do with gaps, duplicated or unsorted timestamps, NaN and inf.
        """

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
        frame = self._scan(root).collect()
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
            return pl.scan_csv(path)
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


class ETT(SeriesSource):
    """Electricity transformer temperature: 17,420 hours of 7 channels (Zhou et al., Informer, AAAI 2021).

    The published split uses the first 20 months: 12 to train, 4 to validate, 4 to test, a month being 30 days.
    """

    frequency = "1h"
    split = (8640, 11520, 14400)
    _file = RawFile(
        path="ett/ETTh1.csv",
        url="https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/ETTh1.csv",
        sha256="f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
    )

    def __init__(self, *, name: Literal["ETTh1"] = "ETTh1") -> None:
        self.name = name

    @override
    def channels(self, *, root: str | None) -> tuple[str, ...]:
        return ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")

    @override
    def read(self, *, root: str | None, missing: MissingPolicy) -> Series:
        return build_series(
            pl.read_csv(fetch(self._file, root=root)),
            name=self.name,
            time_column="date",
            frequency=self.frequency,
            missing=missing,
            columns=self.channels(root=root),
        )


class ExchangeRate(SeriesSource):
    """Daily exchange rates of 8 countries, 7,588 days from 1990 (Lai et al., LSTNet, SIGIR 2018), split 70/10/20."""

    frequency = "1d"
    split = (5311, 6071, 7588)
    _file = RawFile(
        path="exchange_rate/exchange_rate.csv",
        url="https://huggingface.co/datasets/thuml/Time-Series-Library/resolve/main/exchange_rate/exchange_rate.csv",
        sha256="d55e7aa2641009814a18ba3279431b13f6d413b0eab195b9ff21988d8cf94e97",
    )

    @override
    def channels(self, *, root: str | None) -> tuple[str, ...]:
        return ("0", "1", "2", "3", "4", "5", "6", "OT")

    @override
    def read(self, *, root: str | None, missing: MissingPolicy) -> Series:
        return build_series(
            pl.read_csv(fetch(self._file, root=root)),
            name="exchange_rate",
            time_column="date",
            time_format="%Y/%m/%d %H:%M",
            frequency=self.frequency,
            missing=missing,
            columns=self.channels(root=root),
        )


class WeeklyCO2(SeriesSource):
    """Atmospheric CO2 at Mauna Loa, weekly 1958-2001 in ppm, with 59 missing weeks (bundled with statsmodels)."""

    frequency = "1w"
    split = (0.7, 0.8, 1.0)

    @override
    def channels(self, *, root: str | None) -> tuple[str, ...]:
        return ("co2",)

    @override
    def read(self, *, root: str | None, missing: MissingPolicy) -> Series:
        path = packaged_file("statsmodels", "datasets/co2/co2.csv", extra="data")
        return build_series(
            pl.read_csv(path).with_columns(pl.col("date").cast(pl.String)),
            name="co2",
            time_column="date",
            time_format="%Y%m%d",
            frequency=self.frequency,
            missing=missing,
            columns=self.channels(root=root),
        )


class DailyMarket(SeriesSource):
    """Daily closes of S&P 500, NASDAQ, WTI crude or VIX (bundled with arch); trading days, so steps are uneven.

    Args:
        symbol: `sp500` and `nasdaq` (1999-2018), `wti` (1986 on), `vix` (2014 on).
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
    def channels(self, *, root: str | None) -> tuple[str, ...]:
        return (self.symbol,)

    @override
    def read(self, *, root: str | None, missing: MissingPolicy) -> Series:
        path = packaged_file("arch", f"data/{self.symbol}/{self.symbol}.csv.gz", extra="data")
        close = pl.col(self._columns[self.symbol])
        frame = pl.read_csv(path, infer_schema=False).select(
            pl.col("Date"), close.cast(pl.Float64, strict=False).alias(self.symbol)
        )
        # Holidays are rows without a number in two of the files: no trade, no row.
        frame = frame.drop_nulls(self.symbol)
        if self.log:
            frame = frame.with_columns(pl.col(self.symbol).log())
        return build_series(
            frame,
            name=self.symbol,
            time_column="Date",
            time_format="%m/%d/%Y",
            frequency=None,
            missing=missing,
            columns=self.channels(root=root),
        )


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
    """Checks a table and turns it into a `Series`.

    Args:
        frame: The table.
        name: What messages call it.
        time_column: Name of the time column.
        frequency: Time between rows, see `TableFile`.
        missing: What to do with irregular rows and values.
        columns: Target channels, then past covariates, then known-future covariates.
        time_format: Format of a text time column; None recognises ISO 8601.
        num_channels: How many of `columns` are target channels; None means all.
        num_past_covariates: How many of `columns` are past covariates.
        static_covariates: (C, S), or None.

    Raises:
        ValueError: A column is missing, the table is empty, or it is irregular and `missing` is `error`.
    """
    num_channels = len(columns) if num_channels is None else num_channels
    first_future = num_channels + num_past_covariates
    times, table, observed = regularize(
        frame,
        name=name,
        time_column=time_column,
        time_format=time_format,
        frequency=frequency,
        columns=columns,
        num_channels=num_channels,
        missing=missing,
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
    )
