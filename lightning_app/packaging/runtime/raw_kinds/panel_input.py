"""PanelInput: a package that streams series takes raw panels, and answers trajectories by name and time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from typing_extensions import override

from features.series.panel import Ticker, read_panel, ticker_problem, trajectory_table
from features.series.panel_spec import PanelSpec
from features.series.regularize import time_zone
from features.series.windows import At, times_of
from lightning_app.packaging.format.errors import PackageError, RequestError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.runtime.raw_input import Advance, RawBatch, RawInput
from lightning_app.packaging.runtime.values import Array

_VALUES, _FORECAST, _VOLATILITY = "values", "forecast", "volatility"
_NUMBERS = 2**22
"""Numbers of a batch, inputs and outputs, unless a single history has more."""
_SHOWN = 5


@dataclass(frozen=True)
class _Keys:
    """Names of the histories of a batch."""

    names: list[str]
    origins: Array
    time_zone: str | None


class PanelInput(RawInput):
    """Histories of the series of a table, streamed from a fresh state in the chunks of the training.

    An answer depends on the last `context` + 1 values of its series alone, however long the table is.

    Args:
        spec: The preparation.
        levels: Levels of the quantiles.
    """

    by_row = False

    def __init__(self, spec: PanelSpec, *, levels: tuple[float, ...]) -> None:
        self.spec = spec
        self.levels = levels

    @classmethod
    @override
    def load(cls, files: Mapping[str, bytes], manifest: Manifest) -> "PanelInput":
        assert manifest.raw_input is not None
        name = manifest.raw_input.file
        try:
            spec = PanelSpec.from_json(files[name])
        except ValueError as error:
            raise PackageError(f"{name}: {error}") from error
        outputs = {output.name: output for output in manifest.outputs}
        forecast = outputs.get(_FORECAST)
        if [tensor.name for tensor in manifest.inputs] != [_VALUES] or forecast is None or _VOLATILITY not in outputs:
            raise PackageError(f"{name}: a panel is prepared for values, and answered by a forecast and a volatility")
        if forecast.shape[:2] != ("batch", spec.horizon) or forecast.levels is None:
            raise PackageError(f"{name}: a horizon of {spec.horizon}, not that of the manifest's outputs")
        return cls(spec, levels=forecast.levels)

    @override
    def prepare(self, table: pl.DataFrame, at: Any) -> Iterator[RawBatch]:
        wanted: At = "last" if at is None else at
        columns = self.spec.columns
        try:
            zone = self._time_zone(table)
            times = times_of(wanted, zone)
            tickers = read_panel(table.select(columns.names), columns, name="request")
        except ValueError as error:
            raise RequestError(str(error)) from error
        unread = sorted(set(table.columns) - set(columns.names))
        notes = [f"columns not read: {', '.join(unread[:_SHOWN])}{' ...' * (len(unread) > _SHOWN)}"] if unread else []
        if dropped := sum(ticker.dropped for ticker in tickers):
            notes.append(f"{dropped:,} rows without a number left out")
        rejected: dict[int, list[str]] = {}
        histories: list[tuple[Ticker, int]] = []
        for ticker in tickers:
            origins, reasons = self._origins(ticker, is_all=times is None and wanted == "all", times=times)
            histories += [(ticker, int(origin)) for origin in origins]
            if reasons:
                rejected.setdefault(ticker.last_row, []).extend(reasons)
        num_rejected = sum(map(len, rejected.values()))
        yield RawBatch(
            values={},
            keys=_Keys([], np.zeros(0, dtype="datetime64[us]"), zone),
            rejected={row: "; ".join(reasons) for row, reasons in rejected.items()},
            notes=tuple(notes),
            num_asked=num_rejected,
            num_rejected=num_rejected,
        )
        yield from self._batches(histories, zone)

    @override
    def answer(self, batch: RawBatch, advance: Advance) -> Mapping[str, Any]:
        values, state = batch.values[_VALUES], None
        assert isinstance(values, np.ndarray)
        answer: Mapping[str, Any] = {}
        for start in range(0, values.shape[1], self.spec.chunk_size):
            answer, state = advance({_VALUES: values[:, start : start + self.spec.chunk_size]}, state)
        return answer

    @override
    def finish(self, batch: RawBatch, answer: Mapping[str, Any]) -> pl.DataFrame:
        keys: _Keys = batch.keys
        return trajectory_table(
            names=keys.names,
            origins=keys.origins,
            volatility=answer[_VOLATILITY],
            forecast=answer[_FORECAST],
            levels=self.levels,
            time_zone=keys.time_zone,
            frequency=self.spec.frequency,
        )

    def _time_zone(self, table: pl.DataFrame) -> str | None:
        columns = self.spec.columns
        if table.is_empty():
            raise ValueError("request: the table has no rows")
        zone = time_zone(table, name="request", column=columns.time_column, time_format=columns.time_format)
        if (zone is None) != (self.spec.time_zone is None):
            given = "times without a zone" if zone is None else f"times in {zone}"
            trained = "times without one" if self.spec.time_zone is None else f"times in {self.spec.time_zone}"
            raise ValueError(
                f"{columns.time_column}: {given} given, the model was trained on {trained}; convert the column"
            )
        return zone

    def _origins(self, ticker: Ticker, *, is_all: bool, times: Array | None) -> tuple[Array, list[str]]:
        """Rows of the last known values (N,), and a reason for each that was asked for and cannot be answered."""
        spec, count = self.spec, len(ticker.values)
        nothing = np.zeros(0, dtype=np.int64)
        if problem := ticker_problem(ticker, max_missing=spec.max_missing, positive=spec.positive):
            return nothing, [problem]
        if is_all:
            return np.arange(spec.warm_up, count), []
        if times is None:
            wanted, reasons = np.array([count - 1]), []
        else:
            rows = np.searchsorted(ticker.times, times)
            exists = (rows < count) & (ticker.times[np.minimum(rows, count - 1)] == times)
            wanted, reasons = rows[exists], [f"{ticker.name} has no row at {time}" for time in times[~exists]]
        reasons += [
            f"{ticker.name} has {row + 1:,} values up to {ticker.times[row]}, more than {spec.warm_up:,} are needed"
            for row in wanted[wanted < spec.warm_up]
        ]
        return wanted[wanted >= spec.warm_up], reasons

    def _batches(self, histories: list[tuple[Ticker, int]], zone: str | None) -> Iterator[RawBatch]:
        """Neighbouring histories of one length, in batches of bounded size."""
        spec = self.spec
        lengths = [min(origin, spec.context) + 1 for _, origin in histories]
        start = 0
        while start < len(histories):
            length, stop = lengths[start], start + 1
            most = start + max(1, _NUMBERS // (length + spec.horizon * len(self.levels)))
            while stop < len(histories) and stop < most and lengths[stop] == length:
                stop += 1
            part = histories[start:stop]
            values = [ticker.values[origin + 1 - length : origin + 1].astype(np.float32) for ticker, origin in part]
            origins = np.array([ticker.times[origin] for ticker, origin in part], dtype="datetime64[us]")
            keys = _Keys([ticker.name for ticker, _ in part], origins, zone)
            yield RawBatch(values={_VALUES: np.stack(values)}, keys=keys, num_asked=len(part))
            start = stop
