"""Monitored rows of forecasters with a raw table: a row is the request for one forecast, its cells are lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from datamodules import ForecastingDataModule
from datamodules.forecasting.series import RawTable
from features.series.forecast_table import forecast_table
from features.series.regularize import timestamps, with_joined_time
from features.series.spec import SeriesSpec
from lightning_app.packaging.export.batches import Arrays
from lightning_app.packaging.export.held_out import HeldOutRows
from lightning_app.packaging.export.input_rows import Place, ShuffledInputs
from lightning_app.packaging.monitored.lists import listed, ranges
from lightning_app.packaging.monitored.plain_types import as_journalled
from lightning_app.packaging.monitored.rows import MonitoredRows
from lightning_app.packaging.runtime.predictor import Predictor


def series_rows(
    predictor: Predictor,
    held_out: HeldOutRows,
    *,
    data: ForecastingDataModule,
    raw: RawTable,
    spec: SeriesSpec,
    levels: Sequence[float] | None,
) -> MonitoredRows:
    """A row per forecast: the look-back rows of the raw table as lists, and the rows of the answer.

    Args:
        predictor: Of the package.
        held_out: Windows, by their origins.
        data: Where the windows come from.
        raw: Its table.
        spec: The preparation of the package.
        levels: Levels of quantiles; None for point forecasts.
    """
    rows = held_out.rows
    named = _Answers(data, levels)
    places: dict[str, Place] = {name: ("past", place) for place, name in enumerate(spec.targets)}
    places |= {name: ("past_covariates", place) for place, name in enumerate(spec.past_covariates)}
    places |= {name: ("future_covariates", place) for place, name in enumerate(spec.future_covariates)}
    return MonitoredRows(
        requests=_requests(rows, data=data, raw=raw, spec=spec),
        answers=named(held_out.answer, rows),
        outcome=_outcome(held_out.targets, rows, data),
        times=data.series.times[rows - 1],
        shuffled=[name for name, (source, _) in places.items() if source in held_out.request],
        ask_changed=ShuffledInputs(predictor, held_out, places, named),
    )


@dataclass(frozen=True)
class _Answers:
    """Forecasts as the package answers raw rows: a list over the rows of each answer.

    Attributes:
        data: Where the windows come from.
        levels: Levels of quantiles.
    """

    data: ForecastingDataModule
    levels: Sequence[float] | None

    def __call__(self, answer: Arrays, rows: np.ndarray) -> pl.DataFrame:
        data = self.data
        forecast = data.raw_units(np.asarray(answer["forecast"]), rows)
        names = data.names_at(rows)
        table = forecast_table(
            forecast,
            _times_ahead(data, rows),
            channels=np.array(data.channels if names is None else names, dtype=object).reshape(
                (-1,) if names is None else (-1, 1)
            ),
            quantiles=self.levels,
            time_zone=data.series.time_zone,
        )
        return as_journalled(listed(table, np.full(len(rows), forecast.shape[1] * forecast.shape[2])))


def _times_ahead(data: ForecastingDataModule, rows: np.ndarray) -> np.ndarray:
    times: np.ndarray = data.series.times[rows[:, None] + np.arange(data.horizon)]
    return times


def _outcome(targets: Arrays, rows: np.ndarray, data: ForecastingDataModule) -> pl.Series:
    """True values in the order of the rows of the answer; null where none was observed."""
    truth = np.where(data.observed_horizons(rows), data.raw_units(np.asarray(targets["target"]), rows), np.nan)
    flat = truth.transpose(0, 2, 1).reshape(len(rows), -1).astype(np.float64)
    values = pl.DataFrame({"outcome": flat.reshape(-1)}).with_columns(pl.col("outcome").fill_nan(None))
    return as_journalled(listed(values, np.full(len(rows), flat.shape[1]))).to_series()


def _requests(rows: np.ndarray, *, data: ForecastingDataModule, raw: RawTable, spec: SeriesSpec) -> pl.DataFrame:
    """The look-back of each origin, and where covariates of the future are read, the rows ahead without targets."""
    frame = with_joined_time(raw.frame, column=raw.time_column, parts=raw.time_parts)
    times = timestamps(frame, name="raw", column=raw.time_column, time_format=raw.time_format)
    frame = frame.select(name for name in spec.columns if name in frame.columns)
    if raw.time_column in frame.columns:
        frame = frame.with_columns(times.alias(raw.time_column))
    known = data.series.times
    first, last = known[rows - spec.look_back], known[rows - 1]
    end = _times_ahead(data, rows)[:, -1] if spec.future_covariates else last
    series = None if spec.id_column is None else frame[spec.id_column].cast(pl.String)
    starts, lasts, ends = (np.zeros(len(rows), dtype=np.int64) for _ in range(3))
    order: list[np.ndarray] = []
    for positions, asked in _groups(series, data.names_at(rows), len(frame), len(rows)):
        own = times.gather(positions).to_numpy()
        by_time = np.argsort(own, kind="stable")
        offset = sum(len(part) for part in order)
        own = own[by_time]
        starts[asked] = offset + np.searchsorted(own, first[asked], side="left")
        lasts[asked] = offset + np.searchsorted(own, last[asked], side="right")
        ends[asked] = offset + np.searchsorted(own, end[asked], side="right")
        order.append(positions[by_time])
    ends = np.maximum(ends, lasts)
    taken = ranges(starts, ends)
    table = frame[np.concatenate(order)[taken]]
    if spec.future_covariates:
        ahead = pl.Series(taken >= np.repeat(lasts, ends - starts))
        hidden = [*spec.targets, *spec.past_covariates]
        table = table.with_columns(pl.when(~ahead).then(pl.col(name)).alias(name) for name in hidden)
    return as_journalled(listed(table, ends - starts))


def _groups(
    series: pl.Series | None, asked: Sequence[str] | None, num_rows: int, num_asked: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Positions of each series in the table, and those of the origins that ask for it."""
    if series is None or asked is None:
        return [(np.arange(num_rows), np.arange(num_asked))]
    positions = _positions(series)
    return [(positions[name], origins) for name, origins in _positions(pl.Series("series", asked)).items()]


def _positions(values: pl.Series) -> Mapping[str, np.ndarray]:
    groups = values.alias("key").to_frame().with_row_index("row").group_by("key", maintain_order=True).agg("row")
    return {key: rows.to_numpy().astype(np.int64) for key, rows in zip(groups["key"], groups["row"], strict=True)}
