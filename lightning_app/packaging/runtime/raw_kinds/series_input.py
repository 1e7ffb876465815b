"""SeriesInput: a package of a forecaster takes raw tables of time series, wide or long, and answers named rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from typing_extensions import override

from features.series.forecast_table import forecast_table
from features.series.plain import PlainWindow
from features.series.regularize import time_zone, with_joined_time
from features.series.repairs import Repairs
from features.series.scales import restored, scale_for
from features.series.series import Series
from features.series.spec import Scale, SeriesSpec
from features.series.static_attributes import unknown_texts
from features.series.tables import NamedSeries, read_long, read_wide
from features.series.windows import At, horizon_times, origins_of, standardized, times_of, windows_at
from lightning_app.packaging.format.errors import PackageError, RequestError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.runtime.raw_input import RawBatch, RawInput
from lightning_app.packaging.runtime.values import Array

_VALUES = 2**22
"""Numbers of a batch of windows, unless a single window has more."""
_SHOWN = 5


@dataclass
class _Keys:
    """Names of the windows of a batch."""

    channels: list[tuple[str, ...]] = field(default_factory=list)
    times: list[Array] = field(default_factory=list)
    origins: list[Array] = field(default_factory=list)
    scales: list[Scale] = field(default_factory=list)
    time_zone: str | None = None
    shows_origins: bool = False


class SeriesInput(RawInput):
    """Windows of the series of a table, cut as in training.

    Args:
        spec: The preparation.
        quantiles: Levels of the forecast; None for point forecasts.

    Attributes:
        spec: The preparation.
    """

    by_row = False

    def __init__(self, spec: SeriesSpec, *, quantiles: tuple[float, ...] | None) -> None:
        self.spec = spec
        self.quantiles = quantiles
        self._plain = PlainWindow(spec)
        self._known = {*spec.columns, spec.time_column, *spec.unused}

    @classmethod
    @override
    def load(cls, files: Mapping[str, bytes], manifest: Manifest) -> "SeriesInput":
        assert manifest.raw_input is not None
        name = manifest.raw_input.file
        try:
            spec = SeriesSpec.from_json(files[name])
        except ValueError as error:
            raise PackageError(f"{name}: {error}") from error
        (forecast,) = manifest.outputs
        past = next((tensor for tensor in manifest.inputs if tensor.name == "past"), None)
        width = len(spec.targets)
        if past is None or past.shape != ("batch", spec.look_back, width):
            raise PackageError(f"{name}: windows of {spec.look_back} x {width}, not those of the manifest's inputs")
        if forecast.shape[:3] != ("batch", spec.horizon, width):
            raise PackageError(f"{name}: a horizon of {spec.horizon} x {width}, not that of the manifest's outputs")
        return cls(spec, quantiles=forecast.levels)

    @override
    def prepare(self, table: pl.DataFrame, at: Any) -> Iterator[RawBatch]:
        wanted: At = "last" if at is None else at
        if self._plain.is_possible and isinstance(wanted, str) and wanted == "last":
            plain = self._plain.read(table)
            if plain is not None:
                values, ahead, repairs = plain
                keys = _Keys(channels=[self.spec.targets], times=[ahead])
                notes = self._unread(table) + (_repair_notes([repairs], self.spec) if repairs else [])
                yield RawBatch(values=values, keys=keys, notes=notes, num_asked=1)
                return
        table = with_joined_time(table, column=self.spec.time_column, parts=self.spec.time_parts)
        try:
            zone = self._time_zone(table)
            times = times_of(wanted, zone)
            yield from self._batches(table, "all" if times is None and at == "all" else "last", times, zone)
        except ValueError as error:
            raise RequestError(str(error)) from error

    @override
    def finish(self, batch: RawBatch, answer: Mapping[str, Any]) -> pl.DataFrame:
        keys: _Keys = batch.keys
        forecast = answer["forecast"]
        if keys.scales:
            mean = np.array([scale.mean for scale in keys.scales])
            forecast = restored(forecast, mean, np.array([scale.std for scale in keys.scales]))
        return forecast_table(
            forecast,
            _joined(keys.times or [_no_times(0, self.spec.horizon)]),
            channels=np.array(keys.channels or np.zeros((0, len(self.spec.targets))), dtype=object),
            quantiles=self.quantiles,
            time_zone=keys.time_zone,
            origins=_joined(keys.origins or [_no_times(0)]) if keys.shows_origins else None,
        )

    def _time_zone(self, table: pl.DataFrame) -> str | None:
        spec = self.spec
        if table.is_empty():
            raise ValueError("request: the table has no rows")
        zone = time_zone(table, name="request", column=spec.time_column, time_format=spec.time_format)
        if (zone is None) != (spec.time_zone is None):
            given = "times without a zone" if zone is None else f"times in {zone}"
            trained = "times without one" if spec.time_zone is None else f"times in {spec.time_zone}"
            raise ValueError(
                f"{spec.time_column}: {given} given, the model was trained on {trained}; convert the column"
            )
        return zone

    def _batches(self, table: pl.DataFrame, at: At, times: Array | None, zone: str | None) -> Iterator[RawBatch]:
        spec = self.spec
        notes = self._unread(table)
        for column, texts in unknown_texts(table, spec).items():
            notes.append(f"{column}: {', '.join(texts[:_SHOWN])} not in training, taken as none of its texts")
        shows = at == "all" or times is not None
        collected = _Windows(zone, shows_origins=shows)
        repairs: list[Repairs] = []
        unknown: list[str] = []
        short: list[str] = []
        read = {*spec.columns, spec.time_column}
        for named in self._series(table.select(column for column in table.columns if column in read)):
            if named.series is None:
                collected.reject(named.last_row, named.reason or "")
                continue
            if named.series.repairs:
                repairs.append(named.series.repairs)
            if spec.id_column is not None and named.name not in spec.scales:
                unknown.append(named.name)
            origins, reasons = origins_of(named.series, spec, at=at, times=times)
            prefix = f"series {named.name!r}: " if named.name else ""
            for reason in reasons:
                collected.reject(named.last_row, prefix + reason)
            if at == "all" and not len(origins):
                short.append(named.name or "the table")
            step = max(1, _VALUES // _window_size(named.series, spec))
            for start in range(0, len(origins), step):
                self._add(collected, named, origins[start : start + step])
                if collected.size >= _VALUES:
                    yield collected.batch(())
                    collected = _Windows(zone, shows_origins=shows)
        notes += _repair_notes(repairs, spec)
        if unknown:
            notes.append(
                f"{len(unknown):,} series were not in training ({_first(unknown)}): scaled by their own look-back"
            )
        if short:
            ahead = f", or known-future covariates of {spec.horizon:,} more" * bool(spec.future_covariates)
            notes.append(
                f"{len(short):,} series not answered ({_first(short)}): no row has a history of {spec.look_back:,} "
                f"rows (look_back){ahead}"
            )
        yield collected.batch(notes)

    def _unread(self, table: pl.DataFrame) -> list[str]:
        unread = [name for name in table.columns if name not in self._known]
        return [f"columns not read: {_first(unread)}"] if unread else []

    def _series(self, table: pl.DataFrame) -> Iterator[NamedSeries]:
        if self.spec.id_column is not None:
            yield from read_long(table, self.spec, name="request")
        else:
            yield NamedSeries("", read_wide(table, self.spec, name="request"), None, len(table) - 1)

    def _add(self, collected: "_Windows", named: NamedSeries, origins: Array) -> None:
        spec, series = self.spec, named.series
        assert series is not None
        times = horizon_times(series, spec, origins)
        if spec.id_column is None:
            collected.add(windows_at(series, spec, origins), spec.targets, times, series.times[origins - 1], ())
            return
        scales = []
        windows = windows_at(series, spec, origins)
        past = np.empty_like(windows["past"])
        for index, origin in enumerate(origins):
            rows = slice(int(origin) - spec.look_back, int(origin))
            scale = scale_for(spec, named.name, series.values[rows, 0], series.observed[rows, 0])
            past[index] = standardized(series.values[rows], scale)
            scales.append(scale)
        collected.add({**windows, "past": past}, (named.name,), times, series.times[origins - 1], scales)


class _Windows:
    """Windows collected for a batch."""

    def __init__(self, zone: str | None, *, shows_origins: bool) -> None:
        self.size = 0
        self._values: dict[str, list[Array]] = {}
        self._keys = _Keys(time_zone=zone, shows_origins=shows_origins)
        self._rejected: dict[int, str] = {}
        self._num_rejected = 0

    def reject(self, row: int, reason: str) -> None:
        """Counts an answer that cannot be given."""
        self._rejected[row] = f"{self._rejected[row]}; {reason}" if row in self._rejected else reason
        self._num_rejected += 1

    def add(
        self, values: Mapping[str, Array], channels: tuple[str, ...], times: Array, origins: Array, scales: Any
    ) -> None:
        """Adds windows of one series."""
        for name, array in values.items():
            self._values.setdefault(name, []).append(array)
            self.size += array.size
        self._keys.channels += [channels] * len(times)
        self._keys.times.append(times)
        self._keys.origins.append(origins)
        self._keys.scales += scales

    def batch(self, notes: Any) -> RawBatch:
        """All of it."""
        num_windows = len(self._keys.channels)
        return RawBatch(
            values={name: _joined(arrays) for name, arrays in self._values.items()},
            keys=self._keys,
            rejected=self._rejected,
            notes=tuple(notes),
            num_asked=num_windows + self._num_rejected,
            num_rejected=self._num_rejected,
        )


def _first(names: list[str]) -> str:
    return f"{', '.join(names[:_SHOWN])}{' ...' * (len(names) > _SHOWN)}"


def _window_size(series: Series, spec: SeriesSpec) -> int:
    rows = spec.look_back * (series.values.shape[1] + series.past_covariates.shape[1])
    return rows + (spec.look_back + spec.horizon) * series.future_covariates.shape[1]


def _no_times(*shape: int) -> Array:
    return np.zeros(shape, dtype="datetime64[us]")


def _joined(arrays: list[Array]) -> Array:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _repair_notes(repairs: list[Repairs], spec: SeriesSpec) -> list[str]:
    if len(repairs) == 1 and spec.id_column is None:
        return [repairs[0].describe()]
    if not repairs:
        return []
    filled = sum(sum(repair.filled.values()) for repair in repairs)
    counts = {
        "times that went backwards, sorted": sum(repair.unsorted for repair in repairs),
        "rows dropped because a later row has their timestamp": sum(repair.repeated for repair in repairs),
        "rows inserted in gaps": sum(repair.inserted for repair in repairs),
        "values filled": filled,
        "rows as they stand, whose time does not follow": sum(repair.as_they_stand for repair in repairs),
    }
    done = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    return [f"{len(repairs):,} series repaired: {done}"]
