"""LongForecastingDataModule: windows of all series of a long table, for one global model."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import torch
from torch import Tensor
from typing_extensions import override

from datamodules.base import Split
from datamodules.forecasting.data_module import ForecastingDataModule
from datamodules.forecasting.found_season import FoundSeason
from datamodules.forecasting.long_series import LongSeries, named, read_long_series
from datamodules.forecasting.long_table import LongTableFile
from datamodules.forecasting.long_windows import LongWindows, SeriesScales
from datamodules.forecasting.statistics import mean_and_std, naive_error
from features.series.calendar import CalendarFeature, extend
from features.series.forecast_table import forecast_table
from features.series.regularize import MissingPolicy
from features.series.scales import restored
from features.series.season import calendar_periods
from features.series.series import Series
from features.series.spec import SeriesSpec


class LongForecastingDataModule(ForecastingDataModule):
    """Windows (look-back, horizon) of many series with one channel each, pooled for one global model.

    Every series is standardised with the mean and deviation of its own training rows, so that series of all sizes count
    alike; a series without training rows with those of each window's look-back. The model works in these units;
    `predict` and packages answer in those of the table. Splits are by time within each series. A series that is too
    short for a window of a split is left out of that split, counted and named.

    Args:
        series: The table.
        look_back: Input rows.
        horizon: Forecast rows.
        batch_size: Windows per training batch and process.
        eval_batch_size: Maximum windows per batch outside training; None for `batch_size`.
        missing: Policy for gaps, duplicated or unsorted timestamps, NaN and inf of each series.
        max_missing: With `fill` and `mask`, the largest fraction of a series that may be dropped or filled.
        calendar: Calendar features to add to the known-future covariates.
        root: Folder of raw files; None for `$LIGHTNING_APP_DATA`, else `./data`.
        num_workers: Worker processes that gather batches.
        pin_memory: Copy batches to page-locked memory.
    """

    source: LongTableFile

    def __init__(
        self,
        *,
        series: LongTableFile,
        look_back: int,
        horizon: int,
        batch_size: int = 128,
        eval_batch_size: int | None = None,
        missing: MissingPolicy = "error",
        max_missing: float = 0.1,
        calendar: Sequence[CalendarFeature] = (),
        root: str | Path | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        if isinstance(calendar, str):
            raise ValueError(f"data.calendar: {calendar!r} given, of a long table a list of features is needed")
        super().__init__(
            series=series,
            look_back=look_back,
            horizon=horizon,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            missing=missing,
            max_missing=max_missing,
            calendar=calendar,
            root=root,
            num_workers=num_workers,
            pin_memory=pin_memory,
        )

    @override
    def with_look_back(self, look_back: int, *, batch_size: int) -> Self:
        other = super().with_look_back(look_back, batch_size=batch_size)
        other.__dict__.pop("long", None)  # its windows are those of a look-back
        return other

    @cached_property
    def long(self) -> LongSeries:
        """All series; read on first access."""
        source = self.source
        spec = SeriesSpec(
            time_column=source.time_column,
            time_format=source.time_format,
            id_column=source.id_column,
            targets=(source.value_column,),
            past_covariates=source.past_covariates,
            future_covariates=source.future_covariates,
            frequency=source.frequency,
            missing=self.missing,
            max_missing=self.max_missing,
            calendar=self.calendar,
            look_back=self.look_back,
            horizon=self.horizon,
        )
        return read_long_series(source, spec, root=self.root)

    @property
    @override
    def series(self) -> Series:
        """All series one after the other, raw units."""
        return self.long.joined

    @property
    @override
    def series_spec(self) -> SeriesSpec:
        return self.long.spec

    @property
    @override
    def num_static_covariates(self) -> int:
        return self.long.static_covariates.shape[1] if self.source.static_attributes else 0

    @property
    @override
    def unit(self) -> str:
        return "standard units of the series"

    @cached_property
    def scales(self) -> SeriesScales:
        """Scales of the windows."""
        known = [self.long.spec.scales.get(name) for name in self.long.names]
        return SeriesScales(
            np.array([np.nan if scale is None else scale.mean for scale in known]),
            np.array([np.nan if scale is None else scale.std for scale in known]),
            values=self.series.values[:, 0],
            observed=self.series.observed[:, 0],
            look_back=self.look_back,
        )

    @cached_property
    def _numbers(self) -> np.ndarray:
        return self.long.numbers

    @property
    @override
    def statistics(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Mean 0 and deviation 1 of targets, which come in standard units; of covariates, over all training rows."""
        long = self.long
        ends = zip(long.starts, long.ends[:, 0], strict=True)
        rows = np.concatenate([np.arange(start, start + end) for start, end in ends])
        tables = {
            "past_covariates": self.series.past_covariates[rows],
            "future_covariates": self.series.future_covariates[rows],
        }
        scales = {name: mean_and_std(table) for name, table in tables.items() if table.shape[1]}
        return {"target": (torch.zeros(1), torch.ones(1)), **scales}

    @cached_property
    @override
    def season(self) -> FoundSeason:
        long, series = self.long, self.series
        table = np.where(series.observed, series.values, np.nan)
        ends = zip(long.starts, long.starts + long.ends[:, 0], strict=True)
        longest = int(long.lengths.argmax())
        times = series.times[long.starts[longest] :][: long.lengths[longest]]
        return FoundSeason(
            [table[start:end] for start, end in ends],
            calendar=calendar_periods(self.source.frequency, times),
            look_back=self.look_back,
        )

    @property
    @override
    def test_period(self) -> tuple[np.datetime64, np.datetime64]:
        times = self.series.times[np.concatenate(self.long.origins("test"))]
        return times.min(), times.max()

    @override
    def prepare_data(self) -> None:
        self.source.file(self.root)

    @override
    def check_values(self) -> None:
        """Skips the check for outliers: series of different scales have no common bound."""

    @override
    def dataset(self, split: Split) -> LongWindows:  # type: ignore[override]
        long = self.long
        origins = np.concatenate(long.origins(split))
        if not len(origins):
            raise ValueError(
                f"the {split} split holds no window: none of {len(long):,} series has enough rows; "
                f"a window needs look_back {self.look_back} + horizon {self.horizon}"
            )
        return LongWindows(
            values=self.series.values[:, 0],
            observed=self.series.observed[:, 0],
            past_covariates=self.series.past_covariates,
            future_covariates=self.series.future_covariates,
            static_covariates=long.static_covariates,
            series=self._numbers,
            scales=self.scales,
            origins=origins,
            look_back=self.look_back,
            horizon=self.horizon,
            masked=self.missing == "mask",
            future_known=split != "predict",
        )

    @override
    def notes(self) -> list[str]:
        long, zone = self.long, self.series.time_zone
        lines = [] if self.source.contract is None else self.source.contract.notes()
        lines += [] if zone is None else [f"timestamps with a zone ({zone}): read as UTC"]
        for split in ("train", "val", "test", "predict"):
            empty = [name for name, rows in zip(long.names, long.origins(split), strict=True) if not len(rows)]
            if empty:
                lines.append(f"{len(empty):,} of {len(long):,} series too short for {split}: {named(empty)}")
        return (
            lines
            + [f"series {name}: {repairs.describe()}" for name, repairs in list(long.repairs.items())[:5]]
            + ([f"{len(long.repairs) - 5:,} more series repaired"] if len(long.repairs) > 5 else [])
        )

    @override
    def fingerprint(self) -> dict[str, Any]:
        contract = self.source.contract
        series, digest = self.series, hashlib.sha256("\0".join(self.long.names).encode())
        for table in (series.times, series.values, series.observed, series.past_covariates, series.future_covariates):
            digest.update(np.ascontiguousarray(table).tobytes())
        return {
            "source": type(self.source).__name__,
            "series": len(self.long),
            "rows": int(self.long.lengths.sum()),
            "period": [str(series.times.min()), str(series.times.max())],
            "sha256": digest.hexdigest(),
            **({"repairs": {n: r.as_dict() for n, r in self.long.repairs.items()}} if self.long.repairs else {}),
            **({} if contract is None else {"contract": contract.sha256(root=self.root)}),
        }

    @override
    def protocol(self) -> dict[str, Any]:
        long, zone = self.long, self.series.time_zone
        short = sum(not len(rows) for rows in long.origins("test"))
        return {
            "data": f"{self.source.describe()}, {len(long):,} series, {int(long.lengths.sum()):,} rows",
            "missing values": f"{self.missing}; {len(long.repairs):,} series repaired",
            "split": f"ends of train, validation and test of each series at {', '.join(map(str, self.source.ends))}",
            "windows": f"look-back {self.look_back}, horizon {self.horizon}, stride 1; "
            f"{len(self.dataset('test')):,} in test; {short:,} series too short for the test",
            **({"time": f"given in {zone}, read as UTC"} if zone else {}),
            "scale": "each series standardised with the mean and deviation of its training rows; a series without any "
            "with those of the look-back",
            "selection": "on the validation split only",
        }

    @override
    def prediction_table(self, outputs: dict[str, Tensor]) -> pl.DataFrame:
        if not {"forecast", "origin"} <= outputs.keys() or outputs["forecast"].ndim not in (3, 4):
            return super().prediction_table(outputs)
        origins = outputs["origin"].numpy()
        return forecast_table(
            self.raw_units(outputs["forecast"].numpy(), origins),
            np.stack([self.forecast_times(origin) for origin in origins.tolist()]),
            channels=np.array(self.names_at(origins), dtype=object)[:, None],
            quantiles=getattr(self.trainer and self.trainer.lightning_module, "quantiles", None),
            time_zone=self.series.time_zone,
        )

    @override
    def names_at(self, origins: np.ndarray) -> list[str]:
        return [self.long.names[number] for number in self._numbers[origins - 1]]

    @property
    @override
    def error_names(self) -> tuple[str, ...]:
        return self.long.names

    @override
    def error_groups(self, origins: np.ndarray) -> np.ndarray:
        return self._numbers[origins - 1]

    @override
    def window_scales(self, origins: np.ndarray) -> np.ndarray:
        return self.scales.at(origins, self._numbers[origins - 1])[1]

    @property
    @override
    def naive_errors(self) -> np.ndarray:
        ends = zip(self.long.starts, self.long.starts + self.long.ends[:, 0], strict=True)
        parts = [naive_error(self.series.values[start:end], self.series.observed[start:end]) for start, end in ends]
        return np.concatenate(parts)

    @override
    def raw_units(self, forecast: np.ndarray, origins: np.ndarray) -> np.ndarray:
        return restored(forecast, *self.scales.at(origins, self._numbers[origins - 1]))

    @override
    def forecast_times(self, origin: int) -> np.ndarray:
        number = self._numbers[origin - 1]
        start, length = int(self.long.starts[number]), int(self.long.lengths[number])
        times = extend(self.series.times[start : start + length], self.source.frequency, origin - start + self.horizon)
        return times[origin - start : origin - start + self.horizon]
