"""ForecastingDataModule: windows of a series, under the protocol of the long-horizon literature."""

import hashlib
from collections.abc import Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import msgspec
import numpy as np
import polars as pl
from torch import Tensor
from typing_extensions import override

from datamodules.base import BaseDataModule, Split
from datamodules.forecasting.automatic_sizes import AutomaticSizes, automatic_sizes
from datamodules.forecasting.found_season import FoundSeason
from datamodules.forecasting.series import Boundary, Series, SeriesSource
from datamodules.forecasting.statistics import check_deviations, naive_error, series_statistics
from datamodules.forecasting.windows import Windows
from features.contracts import Contract
from features.series.calendar import CalendarFeature, calendar_name, extend
from features.series.calendar_choice import CalendarEffect, calendar_effects, describe_effects
from features.series.forecast_table import forecast_table
from features.series.regularize import MissingPolicy
from features.series.season import calendar_periods, find_seasons
from features.series.series import with_calendar
from features.series.spec import SeriesSpec


class ForecastingDataModule(BaseDataModule):
    """Windows (look-back, horizon) of a multivariate series.

    A window belongs to the split of its forecast rows; its look-back may reach into the previous split. All windows of
    stride 1 are used, none is dropped in validation and test: a split of R rows has R - horizon + 1 windows. Scaling
    statistics come from the training rows only. `predict` forecasts once, from the end of the series.

    Args:
        series: Source of the series.
        look_back: Input rows; `auto` takes them from the length of the series, see `automatic_sizes`.
        horizon: Forecast rows; `auto` takes them from the season and the length of the series.
        batch_size: Windows per training batch and process.
        eval_batch_size: Maximum windows per batch outside training; None for `batch_size`.
        missing: Policy for gaps, duplicated or unsorted timestamps, NaN and inf: `error`, `fill` or `mask`.
        max_missing: With `fill` and `mask`, the largest fraction of rows that may be dropped for their timestamp, or of
            a column's values that may be filled.
        split: Ends of train, validation and test, as row counts or fractions; None for the series' default.
        calendar: Calendar features to add to the known-future covariates; `auto` for those whose effect is seen in the
            training rows.
        root: Folder of raw files; None for `$LIGHTNING_APP_DATA`, else `./data`.
        num_workers: Worker processes that gather batches.
        pin_memory: Copy batches to page-locked memory.
    """

    model_arguments = (
        "num_channels", "num_past_covariates", "num_future_covariates", "num_static_covariates", "look_back", "horizon",
    )  # fmt: skip
    found_arguments = ("period",)
    sample_name = "windows"

    def __init__(
        self,
        *,
        series: SeriesSource,
        look_back: int | Literal["auto"],
        horizon: int | Literal["auto"],
        batch_size: int = 128,
        eval_batch_size: int | None = None,
        missing: MissingPolicy = "error",
        max_missing: float = 0.1,
        split: tuple[Boundary, Boundary, Boundary] | None = None,
        calendar: Sequence[CalendarFeature] | Literal["auto"] = (),
        root: str | Path | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__(
            batch_size=batch_size, eval_batch_size=eval_batch_size, num_workers=num_workers, pin_memory=pin_memory
        )
        for name, value in (("look_back", look_back), ("horizon", horizon)):
            if value != "auto" and value < 1:
                raise ValueError(f"data.{name}: {value} given, at least 1 is needed")
        if not 0 <= max_missing <= 1:
            raise ValueError(f"data.max_missing: {max_missing} given, a share from 0 to 1 is needed")
        self.source = series
        self._look_back = look_back
        self._horizon = horizon
        self.missing = missing
        self.max_missing = max_missing
        self.split = split or series.split
        self.given_calendar = calendar if isinstance(calendar, str) else tuple(calendar)
        self.root = root
        self._series: Series | None = None

    @property
    def look_back(self) -> int:
        """Input rows."""
        return self._sizes.look_back if self._look_back == "auto" else self._look_back

    @property
    def horizon(self) -> int:
        """Forecast rows."""
        return self._sizes.horizon if self._horizon == "auto" else self._horizon

    @cached_property
    def _sizes(self) -> AutomaticSizes:
        """Sizes that were left to the data."""
        horizon = None if self._horizon == "auto" else self._horizon
        train, val, _ = self.boundaries
        return automatic_sizes(train=train, val=val - train, season=self._season_rows(), horizon=horizon)

    def _season_rows(self) -> int | None:
        """Rows of the season to take first, however long; None if there is none."""
        series = self._read_series
        table = np.where(series.observed, series.values, np.nan)[: self.boundaries[0]]
        found = find_seasons((table,), calendar=calendar_periods(self.source.frequency, series.times))
        return found[0].rows if found else None

    @property
    @override
    def settled_arguments(self) -> dict[str, Any]:
        given = {"look_back": self._look_back, "horizon": self._horizon}
        settled: dict[str, Any] = {name: getattr(self, name) for name, value in given.items() if value == "auto"}
        if isinstance(self.given_calendar, str):
            settled["calendar"] = list(self.calendar)
        of_source = self.source.settled_arguments
        return {**settled, **({"series": {"init_args": of_source}} if of_source else {})}

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the target channels."""
        return self.source.channels(root=self.root)

    @property
    def num_channels(self) -> int:
        """Number of target channels C."""
        return len(self.channels)

    @property
    def num_past_covariates(self) -> int:
        """Number of columns known up to the origin, P."""
        return self.source.num_past_covariates

    @property
    def num_future_covariates(self) -> int:
        """Number of columns known over the horizon, calendar features included, K."""
        return self.source.num_future_covariates + len(self.calendar)

    @property
    def covariate_columns(self) -> dict[str, tuple[str, ...]]:
        """Names of the columns of `past_covariates` and `future_covariates`, as far as known."""
        columns = dict(self.source.covariate_columns)
        if self.calendar and len(columns.get("future_covariates", ())) == self.source.num_future_covariates:
            columns["future_covariates"] = (*columns.get("future_covariates", ()), *map(calendar_name, self.calendar))
        return {name: names for name, names in columns.items() if names and len(set(names)) == len(names)}

    @cached_property
    def calendar_effects(self) -> tuple[CalendarEffect, ...]:
        """What features of the calendar explain in the training rows."""
        series, end = self._read_series, self.boundaries[0]
        return calendar_effects(series.times[:end], np.where(series.observed, series.values, np.nan)[:end])

    @property
    def calendar(self) -> tuple[CalendarFeature, ...]:
        """Calendar features among the known-future covariates; chosen on first access where that is asked for."""
        if isinstance(self.given_calendar, str):
            return tuple(effect.feature for effect in self.calendar_effects if effect.taken)
        return self.given_calendar

    @property
    def num_static_covariates(self) -> int:
        """Number of attributes of a channel, S."""
        return self.source.num_static_covariates

    @property
    def series(self) -> Series:
        """The series; read on first access."""
        if self._series is None:
            series = self._read_series
            self._series = with_calendar(series, self.calendar, frequency=self.source.frequency, horizon=self.horizon)
        return self._series

    @cached_property
    def _read_series(self) -> Series:
        """The series without calendar features, whose rows the horizon adds to."""
        series = self.source.read(root=self.root, missing=self.missing)
        if series.repairs is not None and series.repairs.fraction > self.max_missing:
            raise ValueError(
                f"data.max_missing: {series.repairs.fraction:.1%} of the data would be dropped or made up, more "
                f"than {self.max_missing:.1%} ({series.repairs.describe()}); check the time column, its format and "
                "the frequency, or raise data.max_missing; of several series in one long table make a column each"
            )
        return series

    @property
    def series_spec(self) -> SeriesSpec | None:
        """Preparation of raw tables, for packages; None if the source has no table that users could supply."""
        table = self.source.raw_table(root=self.root)
        if table is None:
            return None
        attributes = self.series.static_covariates
        spec = SeriesSpec(
            time_column=table.time_column,
            time_format=table.time_format,
            time_parts=table.time_parts,
            time_zone=self.series.time_zone,
            targets=self.channels,
            past_covariates=table.past_covariates,
            future_covariates=table.future_covariates,
            channel_attributes=tuple(map(tuple, attributes.tolist())) if attributes.shape[1] else (),
            frequency=self.source.frequency,
            missing=self.missing,
            max_missing=self.max_missing,
            calendar=self.calendar,
            look_back=self.look_back,
            horizon=self.horizon,
        )
        return msgspec.structs.replace(
            spec, unused=tuple(name for name in table.frame.columns if name not in spec.columns)
        )

    @property
    def boundaries(self) -> tuple[int, int, int]:
        """End rows of train, validation and test."""
        total = len(self._read_series)
        train, val, test = (int(end * total) if isinstance(end, float) else end for end in self.split)
        if not 0 < train <= val <= test <= total:
            raise ValueError(f"data.split: {list(self.split)} does not ascend within the {total} rows of the series")
        return train, val, test

    @cached_property
    def season(self) -> FoundSeason:
        """The season of the training rows; looked for on first access."""
        table = np.where(self.series.observed, self.series.values, np.nan)[: self.boundaries[0]]
        calendar = calendar_periods(self.source.frequency, self.series.times)
        return FoundSeason((table,), calendar=calendar, look_back=self.look_back)

    @property
    def period(self) -> int | None:
        """Rows of the season of the training rows, at most the look-back; None if there is none."""
        return None if self.season.chosen is None else self.season.chosen.rows

    @override
    def how_found(self, name: str) -> str:
        return self.season.describe()

    @override
    def doubts(self, name: str, given: Any) -> str | None:
        return self.season.doubts(given)

    @property
    def test_period(self) -> tuple[np.datetime64, np.datetime64]:
        """Times of the first and the last row of the test split."""
        _, val, test = self.boundaries
        return self.series.times[val], self.series.times[test - 1]

    @property
    def statistics(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Mean and standard deviation of the observed values of the training rows.

        Returns:
            `target` (C,), and, if the series has them, `past_covariates` (P,) and `future_covariates` (K,).
        """
        return series_statistics(self.series, self.boundaries[0], channels=self.channels)

    @property
    @override
    def contract(self) -> Contract | None:
        return None if self.source.contract is None else self.source.contract.load(root=self.root)

    def prepare_data(self) -> None:
        """Downloads missing files, on one process per machine."""
        self.source.read(root=self.root, missing=self.missing)

    def setup(self, stage: str) -> None:
        """Reads the series and checks that the splits of this stage contain windows."""
        if stage != "predict":
            self.check_values()
        for split in {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}.get(stage, ()):
            self.dataset(split)  # type: ignore[arg-type]

    def check_values(self) -> None:
        """Raises on values so far from the training data that their squared error exceeds float32."""
        check_deviations(self.series, *self.statistics["target"], channels=self.channels)

    def with_look_back(self, look_back: int, *, batch_size: int) -> Self:
        """The same data in windows with another look-back; the series is not read again.

        Args:
            look_back: Input rows.
            batch_size: Windows per training batch and process.
        """
        other = copy(self)
        other._look_back, other._horizon, other.batch_size = look_back, self.horizon, batch_size
        return other

    @override
    def dataset(self, split: Split) -> Windows:
        series = self.series
        train, val, test = self.boundaries
        rows = {"train": (0, train), "val": (train, val), "test": (val, test)}
        if split == "predict":
            origins = (len(series), len(series) + 1)
        else:
            first, last = rows[split]
            origins = (max(first, self.look_back), last - self.horizon + 1)
        if origins[1] <= origins[0] or origins[0] < self.look_back:
            raise ValueError(
                f"the {split} split holds no window: its rows are {rows.get(split, (0, len(series)))}, "
                f"a window needs look_back {self.look_back} + horizon {self.horizon}"
            )
        if split == "predict" and len(series.future_covariates) < len(series) + self.horizon:
            raise ValueError(
                f"predict needs the known-future covariates of {self.horizon} rows after "
                f"{series.times[len(series) - 1]}; "
                f"the file has {len(series.future_covariates) - len(series)}: add rows with an empty target"
            )
        return Windows(
            series,
            look_back=self.look_back,
            horizon=self.horizon,
            origins=origins,
            masked=self.missing == "mask",
            future_known=split != "predict",
        )

    @override
    def notes(self) -> list[str]:
        series, zone = self.series, self.series.time_zone
        features = ", features of the calendar too" if self.calendar else ""
        utc = [f"timestamps with a zone ({zone}): read as UTC{features}"] if zone is not None else []
        contract = self.source.contract
        kept = [] if contract is None else contract.notes()
        found = [
            f"{name}: {value} rows, from the series"
            for name, value in self.settled_arguments.items()
            if name not in ("series", "calendar")
        ]
        found += [describe_effects(self.calendar_effects)] if isinstance(self.given_calendar, str) else []
        return [*self.source.notes(), *found, *kept, *utc, *([series.repairs.describe()] if series.repairs else [])]

    def fingerprint(self) -> dict[str, Any]:
        """Source, size, period and the checksum of the values after missing ones were handled."""
        series, contract = self.series, self.source.contract
        digest = hashlib.sha256()
        for table in (series.times, series.values, series.observed, series.past_covariates, series.future_covariates):
            digest.update(np.ascontiguousarray(table).tobytes())
        return {
            "source": type(self.source).__name__,
            "channels": list(self.channels),
            "rows": len(series),
            "period": [str(series.times[0]), str(series.times[len(series) - 1])],
            "sha256": digest.hexdigest(),
            **({"repairs": series.repairs.as_dict()} if series.repairs else {}),
            **({} if contract is None else {"contract": contract.sha256(root=self.root)}),
        }

    def protocol(self) -> dict[str, Any]:
        """Split, windows and scale of the test."""
        repairs = self.series.repairs
        train, val, test = self.boundaries
        return {
            "data": f"{self.source.describe()}, {self.num_channels} channels, {len(self.series):,} rows",
            "missing values": f"{self.missing}; {repairs.describe() if repairs is not None else 'not counted'}",
            "split": f"rows 0-{train:,} train, to {val:,} validation, to {test:,} test",
            "windows": f"look-back {self.look_back}, horizon {self.horizon}, stride 1; "
            f"{len(self.dataset('test')):,} in test, no window dropped",
            **({"time": f"given in {self.series.time_zone}, read as UTC"} if self.series.time_zone else {}),
            "scale": "each channel standardised with the mean and deviation of its training rows",
            "selection": "on the validation split only",
        }

    @override
    def prediction_table(self, outputs: dict[str, Tensor]) -> pl.DataFrame:
        """A row per timestamp and channel, in raw units: `time`, `channel`, `forecast` or a column per quantile.

        Args:
            outputs: `forecast` (N, H, C) or (N, H, C, Q) and `origin` (N,); anything else is a column per output.
        """
        if not {"forecast", "origin"} <= outputs.keys() or outputs["forecast"].ndim not in (3, 4):
            return super().prediction_table(outputs)
        quantiles = getattr(self.trainer and self.trainer.lightning_module, "quantiles", None)
        return forecast_table(
            outputs["forecast"].numpy(),
            np.stack([self.forecast_times(origin) for origin in outputs["origin"].tolist()]),
            channels=np.array(self.channels),
            quantiles=quantiles,
            time_zone=self.series.time_zone,
        )

    def forecast_times(self, origin: int) -> np.ndarray:
        """Timestamps `datetime64[us]` (H,) of the horizon after row `origin - 1`."""
        times = extend(self.series.times, self.source.frequency, origin + self.horizon)
        return times[origin : origin + self.horizon]

    @property
    def error_names(self) -> tuple[str, ...]:
        """Names of what test errors are reported of: the channels."""
        return self.channels

    def error_groups(self, origins: np.ndarray) -> np.ndarray | None:  # noqa: ARG002
        """Positions in `error_names` of windows, int64 (B,); None if every window has all channels."""
        return None

    def window_scales(self, origins: np.ndarray) -> np.ndarray:
        """Size of the unit of batches in units of the table, by window, float64 (B,)."""
        return np.ones(len(origins))

    @property
    def naive_errors(self) -> np.ndarray:
        """Mean absolute error of repeating the last training value one step ahead, by name, float64."""
        end = self.boundaries[0]
        return naive_error(self.series.values[:end], self.series.observed[:end])

    @property
    def unit(self) -> str:
        """Unit of the targets in batches, for manifests."""
        return "as given"

    def names_at(self, origins: np.ndarray) -> list[str] | None:  # noqa: ARG002
        """Names of the series of windows (B,); None if all windows are of the same channels."""
        return None

    def raw_units(self, forecast: np.ndarray, origins: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """Forecasts in the units of the table.

        Args:
            forecast: In the units of batches, (B, H, C) or (B, H, C, Q).
            origins: Rows of the first forecast steps, int64 (B,).
        """
        return forecast

    def observed_horizons(self, origins: np.ndarray) -> np.ndarray:
        """Mask of observed values over horizons, bool (B, H, C).

        Args:
            origins: Row of the first step of each horizon, int64 (B,).
        """
        return self.series.observed[origins[:, None] + np.arange(self.horizon)]
