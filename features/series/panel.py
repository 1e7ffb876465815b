"""Panels: a raw table of many series becomes one `Ticker` each, in training and in packages alike."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from features.series.panel_spec import WEEKDAYS, PanelColumns
from features.series.regularize import timestamps
from features.table_reader import as_numbers, row_name


@dataclass(frozen=True)
class Ticker:
    """One series of a panel, without missing values.

    Attributes:
        name: Name of the ticker.
        times: Ascending timestamps, `datetime64[us]` (T,).
        values: Raw values, float64 (T,).
        dropped: Number of rows dropped because they hold no number.
        last_row: Last row of the table, from 0, that belongs to it.
        outside: Number of rows of a wide table before its first and after its last number.
    """

    name: str
    times: np.ndarray
    values: np.ndarray
    dropped: int = 0
    last_row: int = 0
    outside: int = 0


def read_panel(table: pl.DataFrame, columns: PanelColumns, *, name: str) -> list[Ticker]:
    """Reads the series of a table, sorted by name; rows without a number are dropped and counted.

    In a wide table, series may begin and end at different times: empty cells before and after count as `outside`.

    Args:
        table: Its rows in any order.
        columns: Their roles.
        name: Name for messages; the file, if there is one.

    Returns:
        Every series of the table, those without any number too.

    Raises:
        ValueError: A cell is no number, no time, or no name, or a series has two rows of one time.
    """
    if table.is_empty():
        raise ValueError(f"{name} has no rows")
    times = timestamps(table, name=name, column=columns.time_column, time_format=columns.time_format)
    rows = pl.Series("row", np.arange(len(table)))
    if columns.id_column is None:
        several = len(columns.value_columns) > 1
        tickers = []
        for column in columns.value_columns:
            values = as_numbers(table[column], file=name).alias("value")
            tickers.append(_ticker(column, pl.DataFrame([times, values, rows]), name, may_begin_later=several))
        return sorted(tickers, key=lambda ticker: ticker.name)
    ids = table[columns.id_column]
    if ids.dtype.is_nested():
        raise ValueError(f"{name}: {columns.id_column!r} holds {ids.dtype}, expected texts or whole numbers")
    ids = ids.cast(pl.String).alias("ticker")
    if ids.null_count():
        first = row_name(name, ids.is_null().arg_max() or 0)
        raise ValueError(f"{name}: {columns.id_column!r} is empty in {first}; name the ticker of every row")
    values = as_numbers(table[columns.value_columns[0]], file=name).alias("value")
    frame = pl.DataFrame([ids, times, values, rows])
    return sorted(
        (_ticker(str(key), part, name) for (key,), part in frame.group_by("ticker", maintain_order=True)),
        key=lambda ticker: ticker.name,
    )


def _ticker(key: str, part: pl.DataFrame, name: str, *, may_begin_later: bool = False) -> Ticker:
    twice = part.filter(pl.col("time").is_duplicated())
    if len(twice):
        raise ValueError(
            f"{name}: {len(twice)} rows repeat a day of their ticker (first: {key} on {twice['time'][0]}); leave one "
            "row for each"
        )
    last_row = int(part["row"].max())  # type: ignore[arg-type]
    numeric = part.sort("time").filter(pl.col("value").is_finite())
    dropped, outside = len(part) - len(numeric), 0
    if may_begin_later and len(numeric):
        outside = len(part.filter(~pl.col("time").is_between(numeric["time"][0], numeric["time"][-1])))
    return Ticker(
        name=key,
        times=numeric["time"].to_numpy(),
        values=numeric["value"].to_numpy(),
        dropped=dropped - outside,
        last_row=last_row,
        outside=outside,
    )


def ticker_problem(ticker: Ticker, *, max_missing: float, positive: bool) -> str | None:
    """Why a series cannot be used; None if it can.

    Args:
        ticker: The series.
        max_missing: Largest fraction of its rows that may lack a number.
        positive: Whether values at or below zero are refused.
    """
    rows = len(ticker.values) + ticker.dropped
    if not len(ticker.values):
        return f"{ticker.name} has no number in its {rows:,} rows"
    if ticker.dropped > max_missing * rows:
        return (
            f"{ticker.dropped:,} of the {rows:,} rows of {ticker.name} hold no number and would be left out, more than "
            f"data.max_missing {max_missing:g} allows; clean the file, or raise it"
        )
    if np.ptp(ticker.values) == 0:
        return f"{ticker.name} is constant at {ticker.values[0]:g}; leave it out"
    low = np.flatnonzero(ticker.values <= 0)
    if positive and len(low):
        return (
            f"{ticker.name} is {ticker.values[low[0]]:g} on {ticker.times[low[0]]!s:.10}, which has no logarithm; use "
            "model.units: level with data.positive: false, or leave it out"
        )
    return None


def horizon_times(origins: np.ndarray, horizon: int, frequency: str) -> np.ndarray:
    """Times of the forecast steps after origins (N,), `datetime64[us]` (N, H).

    Args:
        origins: `datetime64[us]` (N,).
        horizon: Steps, H.
        frequency: A polars duration, or `weekdays`.
    """
    steps = np.arange(1, horizon + 1)
    if frequency == WEEKDAYS:
        days = origins.astype("datetime64[D]")
        moved = np.busday_offset(days[:, None], steps[None], roll="backward").astype("datetime64[us]")
        return moved + (origins - days.astype("datetime64[us]"))[:, None]  # type: ignore[no-any-return]
    column = pl.Series("time", origins.astype("datetime64[us]", copy=False))
    return np.stack([column.dt.offset_by(_times(frequency, step)).to_numpy() for step in steps.tolist()], axis=1)


def _times(duration: str, factor: int) -> str:
    return re.sub(r"\d+", lambda count: str(int(count[0]) * factor), duration)


def trajectory_table(
    *,
    names: Sequence[str],
    origins: np.ndarray,
    volatility: np.ndarray,
    forecast: np.ndarray,
    levels: Sequence[float],
    time_zone: str | None = None,
    frequency: str | None = None,
) -> pl.DataFrame:
    """A row per origin (the time of the last known value) and step.

    Columns: `series`, `origin`, `step`, `time` where the frequency is known, `volatility`, and one per quantile.

    Args:
        names: Series of each origin (N,).
        origins: `datetime64[us]` (N,), in UTC where there is a time zone.
        volatility: (N,).
        forecast: (N, H, Q).
        levels: Of the quantiles (Q,).
        time_zone: Time zone of the resulting times; None leaves them as they are.
        frequency: A polars duration, or `weekdays`; None for no column `time`.
    """
    count, horizon, width = forecast.shape
    columns = [
        pl.Series("series", [name for name in names for _ in range(horizon)], dtype=pl.String),
        _in_zone("origin", np.repeat(origins, horizon), time_zone),
        pl.Series("step", np.tile(np.arange(1, horizon + 1), count), dtype=pl.Int64),
    ]
    if frequency is not None:
        columns.append(_in_zone("time", horizon_times(origins, horizon, frequency).reshape(-1), time_zone))
    columns.append(pl.Series("volatility", volatility.repeat(horizon)))
    flat = forecast.reshape(count * horizon, width)
    columns += [pl.Series(f"q{level:g}", np.ascontiguousarray(flat[:, index])) for index, level in enumerate(levels)]
    return pl.DataFrame(columns)


def _in_zone(name: str, times: np.ndarray, time_zone: str | None) -> pl.Series:
    column = pl.Series(name, times.astype("datetime64[us]", copy=False))
    if time_zone is None:
        return column
    return column.dt.replace_time_zone("UTC").dt.convert_time_zone(time_zone)
