"""Regularisation of a raw table: an explicit policy for unsorted, duplicated, missing and invalid rows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import numpy as np
import polars as pl

from features.series.calendar import even_times, fixed_step
from features.series.repairs import Repairs
from features.table_reader import as_numbers, row_name

MissingPolicy = Literal["error", "fill", "mask", "rows"]
"""Policy for gaps, duplicated or unsorted timestamps, NaN and inf.

`error` raises and names the first one. `fill` sorts, keeps the last of duplicated rows, inserts the rows of gaps and
carries the last value forward (before the first value, that one backward). `mask` does the same and excludes the filled
values from the loss and all metrics. `rows` takes the rows as they stand, whatever their timestamps, and refuses NaN
and inf as `error` does: the loaders of published benchmarks read their files that way.
"""
_MOST_ROWS, _MOST_ROWS_PER_ROW = 1_000_000, 100
"""Rows that gaps may be filled up to: the larger of a number, and a multiple of the rows that there are."""


def regularize(
    frame: pl.DataFrame,
    *,
    name: str,
    time_column: str,
    time_format: str | None,
    frequency: str | None,
    columns: Sequence[str],
    num_channels: int,
    missing: MissingPolicy,
    num_past_covariates: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Repairs]:
    """Sorts a table by time and handles its missing values.

    Args:
        frame: The table.
        name: Name for messages; the file, if there is one.
        time_column: Name of the time column.
        time_format: Format of a text time column; None parses ISO 8601.
        frequency: Time between rows as a polars duration; None ignores gaps.
        columns: Columns to keep: targets, past covariates, known-future covariates.
        num_channels: Number of target columns.
        missing: The policy.
        num_past_covariates: Number of past covariates, which are not needed after the last target.

    Returns:
        times: `datetime64[us]` (T + F,), with F trailing rows without any target.
        table: float64 (T + F, len(columns)), without missing values.
        observed: bool (T, len(columns)), False where a value was filled.
        repairs: Counts of sorted, dropped, inserted and filled rows and values.

    Raises:
        ValueError: A column is absent or empty, a cell is not a number or too large for float32, no row is left, or the
            policy is `error` and violated.
    """
    absent = [column for column in (time_column, *columns) if column not in frame.columns]
    if absent:
        raise ValueError(f"{name}: no column named {absent[0]!r}; its columns are {frame.columns}")
    if frame.is_empty():
        raise ValueError(f"{name} has no rows")
    twice = [column for index, column in enumerate(columns) if column in (time_column, *columns[:index])]
    if twice:
        raise ValueError(f"{name}: column {twice[0]!r} is named for two roles (time, channel, covariate); give it one")
    doubled = [column for column in columns if f"{column}_duplicated_0" in frame.columns]  # polars' name for it
    if doubled:
        raise ValueError(f"{name}: column {doubled[0]!r} occurs twice in the header; rename one of them")
    # Columns are renamed by position: a numeric column may be called `time` too.
    numbers = [
        as_numbers(frame[column], file=name, booleans=index >= num_channels).alias(str(index))
        for index, column in enumerate(columns)
    ]
    frame = pl.DataFrame([timestamps(frame, name=name, column=time_column, time_format=time_format), *numbers])
    rows_read = len(frame)
    unsorted = int((np.diff(frame["time"].to_numpy()).astype(np.int64) < 0).sum())
    as_they_stand = _num_irregular(frame["time"], frequency) if missing == "rows" else 0
    frame = _in_order(frame, name, missing)
    rows_apart = len(frame)
    if frequency is not None and missing != "rows":
        frame = _without_gaps(frame, name, frequency, missing)
    table = frame.drop("time").to_numpy().astype(np.float64)  # null becomes NaN
    known = np.isfinite(table)
    length = observed_length(known[:, :num_channels])
    if length == 0:
        raise ValueError(f"{name}: the columns {list(columns[:num_channels])} hold no number at all")
    empty = [column for column, some in zip(columns, known.any(axis=0), strict=True) if not some]
    if empty:
        raise ValueError(f"{name}: column {empty[0]!r} holds no number at all; leave it out")
    unknown = ~known
    unknown[length:, : num_channels + num_past_covariates] = False
    _check_complete(unknown, name, columns, frame["time"], missing)
    counts = dict(zip(columns, unknown.sum(axis=0).tolist(), strict=True))
    repairs = Repairs(
        rows_read=rows_read,
        rows=len(frame),
        unsorted=0 if missing == "rows" else unsorted,
        repeated=rows_read - rows_apart,
        inserted=len(frame) - rows_apart,
        filled={column: count for column, count in counts.items() if count},
        as_they_stand=as_they_stand,
    )
    return frame["time"].to_numpy(), carried_forward(table, known), known[:length], repairs


def check_frequency(frequency: str | None, *, key: str) -> None:
    """Raises unless a text is a duration in polars' notation.

    Raises:
        ValueError: Names the config `key` and examples of durations.
    """
    if frequency is None:
        return
    start = pl.Series([datetime(2000, 1, 1)])
    try:
        forward = start.dt.offset_by(frequency)[0] > start[0]
    except (pl.exceptions.PolarsError, OverflowError):
        forward = False
    if not forward:
        raise ValueError(
            f"{key}: {frequency!r} is not a duration; allowed are a number and a unit such as 30s, 15m, 1h, 1d, "
            "1w, 1mo, 1y, or null for uneven steps"
        )


def timestamps(frame: pl.DataFrame, *, name: str, column: str, time_format: str | None) -> pl.Series:
    """Parses a column as timestamps `Datetime("us")`, named `time`.

    Args:
        frame: The table, its rows in file order.
        name: Name for messages; the file, if there is one.
        column: Name of the column.
        time_format: Format of a text column; None parses ISO 8601.

    Raises:
        ValueError: A cell is empty or not a timestamp.
    """
    return _read_times(frame, name=name, column=column, time_format=time_format).cast(pl.Datetime("us")).alias("time")


def with_joined_time(frame: pl.DataFrame, *, column: str, parts: Sequence[str]) -> pl.DataFrame:
    """Adds a time column of the texts of several columns, such as a date and an hour, joined by spaces.

    Args:
        frame: The table; one that has the column already is returned as it is.
        column: Name of the new column.
        parts: Names of the columns to join; empty adds nothing.
    """
    if not parts or column in frame.columns:
        return frame
    joined = pl.concat_str([pl.col(part).cast(pl.String) for part in parts], separator=" ")
    return frame.with_columns(joined.alias(column))


def joined_name(parts: Sequence[str]) -> str:
    """Name of the column that `with_joined_time` adds."""
    return " ".join(parts)


def time_zone(frame: pl.DataFrame, *, name: str, column: str, time_format: str | None) -> str | None:
    """Time zone of a column that `timestamps` converts to UTC; None for naive timestamps."""
    first = _read_times(frame.head(1), name=name, column=column, time_format=time_format)
    return first.dtype.time_zone if isinstance(first.dtype, pl.Datetime) else None


def _read_times(frame: pl.DataFrame, *, name: str, column: str, time_format: str | None) -> pl.Series:
    times = frame[column]
    if times.dtype.is_integer() and time_format is not None:
        times = times.cast(pl.String)  # 20240131, which a CSV reader parses as an integer
    if times.dtype == pl.String:
        texts = times
        if time_format is not None and "%H" in time_format and "%M" not in time_format:  # chrono needs both
            texts, time_format = texts + " 00", f"{time_format} %M"
        try:
            times = texts.str.to_datetime(time_format, time_unit="us")
        except pl.exceptions.PolarsError as error:
            first = _first_unread(texts, time_format)
            advice = "state its format as time_format, e.g. '%d/%m/%Y %H:%M', with a time zone '%Y-%m-%d %H:%M:%S%z'"
            zoned, filled = texts.str.contains(_ZONED).sum(), texts.str.len_bytes().gt(0).sum()
            if time_format is None and 0 < zoned < filled:
                advice = f"{zoned:,} of {filled:,} times have a zone: give one to all or to none"
            raise ValueError(
                f"{name}: {column!r} does not read as {time_format or 'ISO 8601'} ({texts[first]!r} in "
                f"{row_name(name, first)}); {advice}"
            ) from error
    elif not (times.dtype == pl.Date or isinstance(times.dtype, pl.Datetime)):
        raise ValueError(
            f"{name}: the time column {column!r} holds {times.dtype} ({times[0]}), expected text or "
            "timestamps; of whole numbers state the time_format, e.g. '%Y%m%d' for 20240131, '%s' for seconds "
            "since 1970"
        )
    if times.null_count():
        first = times.is_null().arg_max() or 0
        raise ValueError(
            f"{name}: {times.null_count()} rows have no timestamp in {column!r} (first: {row_name(name, first)})"
        )
    return times


def _first_unread(texts: pl.Series, time_format: str | None) -> int:
    """Row of the first text that is not a timestamp; 0 if the format is unknown."""
    try:
        read = texts.str.to_datetime(time_format, time_unit="us", strict=False)
    except pl.exceptions.PolarsError:
        return texts.is_not_null().arg_max() or 0
    return (read.is_null() & texts.is_not_null()).arg_max() or 0


def _num_irregular(times: pl.Series, frequency: str | None) -> int:
    """Number of rows that do not follow the row before by one step; of uneven steps, that are not later."""
    steps = np.diff(times.to_numpy())
    if frequency is None:
        return int((steps.astype(np.int64) <= 0).sum())
    following = times.head(len(times) - 1).dt.offset_by(frequency).to_numpy()
    return int((following != times.to_numpy()[1:]).sum())


def _in_order(frame: pl.DataFrame, name: str, missing: MissingPolicy) -> pl.DataFrame:
    if missing == "rows":
        return frame
    if missing == "error":
        steps = np.diff(frame["time"].to_numpy()).astype(np.int64)
        backwards = np.flatnonzero(steps < 0)
        if len(backwards):
            before = int(backwards[0])
            raise ValueError(
                f"{name}: timestamps are not sorted ({frame['time'][before + 1]} comes after "
                f"{frame['time'][before]} in {row_name(name, before + 1)}); {_ADVICE}; {_SEVERAL}"
            )
        repeated = np.flatnonzero(steps == 0)
        if len(repeated):
            raise ValueError(
                f"{name}: {len(repeated)} rows repeat a timestamp (first: {frame['time'][int(repeated[0])]}); "
                f"{_ADVICE}, which keep the last of them; data.missing: rows takes all rows as they stand, as "
                f"published results on such files do; {_SEVERAL}"
            )
        return frame
    return frame.sort("time", maintain_order=True).unique("time", keep="last", maintain_order=True)


def _without_gaps(frame: pl.DataFrame, name: str, frequency: str, missing: MissingPolicy) -> pl.DataFrame:
    check_frequency(frequency, key=f"{name}: frequency")
    first, last = frame["time"][0], frame["time"][-1]
    step = fixed_step(frequency)
    if step is not None:
        times = frame["time"].to_numpy()
        num_rows = int((times[-1] - times[0]) / step) + 1
        if num_rows > max(_MOST_ROWS, _MOST_ROWS_PER_ROW * len(frame)):  # a wrong year would fill the memory
            raise ValueError(
                f"{name}: {len(frame):,} rows from {first} to {last} would become {num_rows:,} rows, {frequency} "
                "apart; are these timestamps right?"
            )
    even = even_times(frame["time"], first=first, last=last, frequency=frequency).to_frame()
    off_grid = frame.join(even, on="time", how="anti")
    if len(off_grid):
        raise ValueError(
            f"{name}: {len(off_grid)} timestamps are not a multiple of {frequency} after {first} "
            f"(first: {off_grid['time'][0]}); state the right series.frequency, or null for uneven steps"
        )
    gaps = even.join(frame, on="time", how="anti")
    if len(gaps) and missing == "error":
        raise ValueError(f"{name}: {len(gaps)} steps of {frequency} are absent (first: {gaps['time'][0]}); {_ADVICE}")
    return even.join(frame, on="time", how="left", maintain_order="left") if len(gaps) else frame


def observed_length(known: np.ndarray) -> int:
    """Number of rows up to the last one with any target; later rows are the future.

    Args:
        known: Which targets are known, bool (T, C).
    """
    rows = np.flatnonzero(known.any(axis=1))
    return int(rows[-1]) + 1 if len(rows) else 0


def _check_complete(
    unknown: np.ndarray, name: str, columns: Sequence[str], times: pl.Series, missing: MissingPolicy
) -> None:
    if missing not in ("error", "rows") or not unknown.any():
        return
    row, column = (int(index) for index in np.argwhere(unknown)[0])
    raise ValueError(
        f"{name}: {int(unknown.sum())} values are NaN, infinite or empty "
        f"(first: column {columns[column]!r} at {times[row]}, {row_name(name, row)}); {_ADVICE}"
    )


def carried_forward(table: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Carries known values forward in each column; before the first known value, that one backward.

    Args:
        table: Values (T, K).
        known: Which of them are known, bool (T, K).
    """
    rows = np.arange(len(table))[:, None]
    last = np.maximum.accumulate(np.where(known, rows, -1), axis=0)
    first = np.where(known.any(axis=0), known.argmax(axis=0), 0)
    last = np.where(last < 0, first, last)
    return np.nan_to_num(np.take_along_axis(table, last, axis=0), nan=0.0, posinf=0.0, neginf=0.0)


_ZONED = r":\d{2}(?:\.\d+)?(?:Z| ?[+-]\d{2}:?(?:\d{2})?)$"
"""End of the text of a time with a zone."""
_ADVICE = "clean the file, or set data.missing to 'fill' or 'mask'"
_SEVERAL = "of several series in one long table make a column each, or take PanelDataModule"
