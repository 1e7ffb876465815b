"""PanelDataModule: panels of daily series, streamed ticker by ticker."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from torch import Tensor
from typing_extensions import override

from datamodules.base import Split
from datamodules.streams import StreamDataModule
from datamodules.streams.lanes import Arrangement
from datamodules.streams.panel_source import PanelSource
from datamodules.streams.panel_stream import PanelStream
from features.contracts import Contract
from features.series.panel import Ticker, ticker_problem, trajectory_table


class PanelDataModule(StreamDataModule):
    """Daily series of many tickers, each a stream; a forecast of the next H values at every step.

    Splits are made at dates, the same for all tickers. An origin belongs to a split only if all its targets do, so the
    last training origin is H days before the first validation origin: no value is a target in two splits. Streams of
    validation and test begin `context` steps before their first origin, with values of the past. `predict` forecasts
    from each ticker's last row.

    Batches: `values` (B, L), `future` (B, L, H), `row` and `day` int64 (B, L), `valid` bool (B, L), True at forecast
    origins, and `reset` bool (B, L), see `StreamDataModule`.

    Args:
        panel: Source of the series.
        horizon: Forecast steps, H; 63 trading days are a quarter.
        split: Fractions of the calendar at which train, validation and test end.
        val_stride: Steps between validation origins.
        test_stride: Steps between test origins.
        context: Steps streamed before the first origin of a split.
        positive: Raise on values at or below zero, which have no logarithm; for models in units of log returns.
        max_missing: Largest fraction of a ticker's rows that may lack a number; such rows are dropped.
        batch_size: Lanes per process in training.
        chunk_size: New steps per batch, k1.
        window: Steps that gradients flow back, k2; None for `chunk_size`.
        arrangement: In training; `aligned` keeps each ticker whole, `packed` cuts them into equal lanes.
        shuffle: Rearrange the tickers in each epoch.
        eval_batch_size: Lanes outside training, with whole tickers; None for `batch_size`.
        root: Folder of raw files; None for `$LIGHTNING_APP_DATA`, else `./data`.
        num_workers: Worker processes that gather batches.
        pin_memory: Copy batches to page-locked memory.
    """

    model_arguments = (*StreamDataModule.model_arguments, "horizon")
    sample_name = "steps"
    eval_arrangement: Arrangement = "aligned"

    def __init__(
        self,
        *,
        panel: PanelSource,
        horizon: int = 63,
        split: tuple[float, float, float] = (0.68, 0.8, 1.0),
        val_stride: int = 5,
        test_stride: int = 21,
        context: int = 512,
        positive: bool = True,
        max_missing: float = 0.1,
        batch_size: int = 4,
        chunk_size: int = 64,
        window: int | None = None,
        arrangement: Arrangement = "aligned",
        shuffle: bool = False,
        eval_batch_size: int | None = None,
        root: str | Path | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__(
            batch_size=batch_size,
            chunk_size=chunk_size,
            window=window,
            arrangement=arrangement,
            shuffle=shuffle,
            eval_batch_size=eval_batch_size,
            num_workers=num_workers,
            pin_memory=pin_memory,
        )
        for name, value in (("horizon", horizon), ("val_stride", val_stride), ("test_stride", test_stride)):
            if value < 1:
                raise ValueError(f"data.{name}: {value} given, at least 1 is needed")
        if context < 0:
            raise ValueError(f"data.context: {context} given, at least 0 is needed")
        if not 0 < split[0] <= split[1] <= split[2] <= 1:
            raise ValueError(f"data.split: {list(split)} given, three shares that ascend to at most 1 are needed")
        self.panel = panel
        self.horizon = horizon
        self.split = split
        self.val_stride = val_stride
        self.test_stride = test_stride
        self.context = context
        self.positive = positive
        self.max_missing = max_missing
        self.root = root
        self._tickers: list[Ticker] | None = None

    @property
    def tickers(self) -> list[Ticker]:
        """The series; read and validated on first access."""
        if self._tickers is None:
            tickers = self.panel.read(root=self.root)
            for ticker in tickers:
                self._check(ticker)
            self._tickers = tickers
        return self._tickers

    @property
    def calendar(self) -> np.ndarray:
        """All days on which any ticker has a value, ascending."""
        return np.unique(np.concatenate([ticker.times for ticker in self.tickers]))

    @property
    def boundaries(self) -> list[np.datetime64]:
        """Last days of train, validation and test."""
        calendar = self.calendar
        ends = [int(fraction * len(calendar)) for fraction in self.split]
        if ends[0] < 1:
            raise ValueError(f"data.split: {list(self.split)} given, of {len(calendar)} days none is left to train on")
        return [calendar[end - 1] for end in ends]

    @property
    def offsets(self) -> np.ndarray:
        """Row of each ticker's first value in the concatenation of all, and the end, int64 (C + 1,)."""
        return np.cumsum([0, *(len(ticker.values) for ticker in self.tickers)])

    @property
    def training_series(self) -> list[np.ndarray]:
        """Raw values of the training days of each ticker, (T,)."""
        last = self.boundaries[0]
        return [ticker.values[ticker.times <= last] for ticker in self.tickers]

    @override
    def prepare_data(self) -> None:
        self.panel.read(root=self.root)

    @override
    def setup(self, stage: str) -> None:
        for split in {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}.get(stage, ("predict",)):
            self.dataset(split)  # type: ignore[arg-type]

    @override
    def dataset(self, split: Split) -> PanelStream:  # type: ignore[override]
        offsets = self.offsets
        counted = np.zeros(offsets[-1], dtype=bool)
        documents = []
        for column, offset in zip(self.origins(split).T, offsets, strict=False):
            origins = column[column >= 0]
            if not len(origins):
                continue  # listed after the split, or delisted before it
            counted[offset + origins] = True
            first = 0 if split == "train" else max(0, origins[0] - self.context)
            documents.append((offset + first, offset + origins[-1] + 1))
        if not documents:
            raise ValueError(
                f"data.split: the {split} part of {list(self.split)} holds no origin with {self.horizon} values after "
                f"it; the longest ticker has {np.diff(offsets).max()} rows"
            )
        return PanelStream(
            values=np.concatenate([ticker.values for ticker in self.tickers]),
            documents=np.array(documents),
            origins=counted,
            days=np.searchsorted(self.calendar, np.concatenate([ticker.times for ticker in self.tickers])),
            horizon=self.horizon,
        )

    def origins(self, split: Split) -> np.ndarray:
        """Forecast origins of a split as rows, int64 (N, C): a line per day, a column per ticker, -1 for none.

        On a day without a value, a ticker is forecast from its last value.
        """
        if split == "predict":
            return np.array([[len(ticker.values) - 1 for ticker in self.tickers]])
        last_days = dict(zip(("train", "val", "test"), self.boundaries, strict=True))
        calendar = self.calendar
        earliest = calendar[0] - np.timedelta64(1, "us")
        before = {"train": earliest, "val": last_days["train"], "test": last_days["val"]}[split]
        stride = {"train": 1, "val": self.val_stride, "test": self.test_stride}[split]
        days = calendar[(calendar > before) & (calendar <= last_days[split])][::stride]
        columns = []
        for ticker in self.tickers:
            rows = np.searchsorted(ticker.times, days, side="right") - 1
            end = np.searchsorted(ticker.times, last_days[split], side="right")
            inside = (rows >= 0) & (ticker.times[rows] > before) & (rows + self.horizon < end)
            inside &= np.concatenate([[True], rows[1:] > rows[:-1]])
            columns.append(np.where(inside, rows, -1))
        table = np.stack(columns, axis=1)
        return table[(table >= 0).any(axis=1)]

    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """Days common to all tickers (T,), and their values (T, C)."""
        days = self.tickers[0].times
        for ticker in self.tickers[1:]:
            days = np.intersect1d(days, ticker.times)
        columns = [ticker.values[np.searchsorted(ticker.times, days)] for ticker in self.tickers]
        return days, np.stack(columns, axis=1)

    def _check(self, ticker: Ticker) -> None:
        if problem := ticker_problem(ticker, max_missing=self.max_missing, positive=self.positive):
            raise ValueError(f"data.panel: {problem}")
        needed = 2 * self.horizon + 2
        if len(ticker.values) < needed:
            raise ValueError(
                f"data.panel: {ticker.name} has {len(ticker.values)} rows, at least {needed} are needed for horizon "
                f"{self.horizon}; leave it out or shorten the horizon"
            )

    def row_ids(self, rows: np.ndarray) -> tuple[list[str], np.ndarray]:
        """Ticker and day (datetime64[us]) of rows in the concatenation of all tickers.

        Args:
            rows: int64 (N,).
        """
        which = np.searchsorted(self.offsets, rows, side="right") - 1
        days = [self.tickers[index].times[row - self.offsets[index]] for index, row in zip(which, rows, strict=True)]
        return [self.tickers[index].name for index in which], np.array(days, dtype="datetime64[us]")

    @override
    def prediction_table(self, outputs: dict[str, Tensor]) -> pl.DataFrame:
        """A row per origin (the day of the last known value) and step.

        Columns: see `features.series.panel.trajectory_table`; times are in UTC where the panel has a time zone.
        """
        names, days = self.row_ids(outputs["row"].numpy())
        return trajectory_table(
            names=names,
            origins=days,
            volatility=outputs["volatility"].numpy(),
            forecast=outputs["forecast"].numpy(),
            levels=outputs["levels"][0].tolist(),
            frequency=self.panel.frequency,
        )

    @override
    def notes(self) -> list[str]:
        dropped = {ticker.name: ticker.dropped for ticker in self.tickers if ticker.dropped}
        counts = ", ".join(f"{name} {count:,}" for name, count in dropped.items())
        outside = ", ".join(f"{ticker.name} {ticker.outside:,}" for ticker in self.tickers if ticker.outside)
        later = [f"rows before the first or after the last number of a series: {outside}"] if outside else []
        zone = self.panel.time_zone
        utc = (
            [f"timestamps with a zone ({zone}): read as UTC, where a day may be another one"]
            if zone is not None
            else []
        )
        contract = [] if self.panel.contract is None else self.panel.contract.notes()
        return [*contract, *utc, *later, *([f"rows without a number left out: {counts}"] if dropped else [])]

    @property
    @override
    def contract(self) -> Contract | None:
        return None if self.panel.contract is None else self.panel.contract.load(root=self.root)

    @override
    def fingerprint(self) -> dict[str, Any]:
        dropped = {ticker.name: ticker.dropped for ticker in self.tickers if ticker.dropped}
        digest, contract = hashlib.sha256(), self.panel.contract
        for ticker in self.tickers:
            digest.update(ticker.name.encode() + ticker.times.tobytes() + ticker.values.tobytes())
        return {
            "source": type(self.panel).__name__,
            "tickers": {ticker.name: len(ticker.values) for ticker in self.tickers},
            "sha256": digest.hexdigest(),
            **({"dropped": dropped} if dropped else {}),
            **({} if contract is None else {"contract": contract.sha256(root=self.root)}),
        }

    @override
    def protocol(self) -> dict[str, Any]:
        train, val, test = (str(day)[:10] for day in self.boundaries)
        stream = self.dataset("test")
        return {
            "data": f"{type(self.panel).__name__}, {len(self.tickers)} tickers, {len(stream.values):,} rows",
            "split": f"to {train} train, to {val} validation, to {test} test; all values that an origin forecasts lie "
            "in its own split",
            "test": f"{int(stream.origins.sum()):,} origins, every {self.test_stride} days of each ticker, horizon "
            f"{self.horizon}, streamed from {self.context} days before the first",
            "selection": "on the validation split only",
        }
