"""Times found in a table: which column holds them, in which format, and how far the rows are apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from features.series.calendar import even_times
from features.series.regularize import timestamps

_ISO = "ISO 8601"
_FORMATS = (_ISO, "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d")
"""Forms that can mean only one date."""
_LOOKED_AT = 1000
_REGULAR = 0.9
"""Least share of steps of one length in a table whose other steps are gaps; daily rows without weekends have less."""
_UNITS = ((7 * 86400, "w"), (86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


@dataclass(frozen=True)
class FoundTimes:
    """The times of a table.

    Attributes:
        column: Name of the time column.
        time_format: Format of its texts; None for ISO 8601.
    """

    column: str
    time_format: str | None


def find_time_column(
    frame: pl.DataFrame, *, file: str, taken: Sequence[str], time_format: str | None = None
) -> FoundTimes:
    """Finds the one column that holds times.

    Args:
        frame: The table.
        file: Its file, for messages.
        taken: Columns that have another role.
        time_format: Format of its texts; None tries ISO 8601 and forms that can mean only one date.

    Raises:
        ValueError: No column or several hold times.
    """
    formats = _FORMATS if time_format is None else (time_format,)
    held = {name: _format_of(frame[name], file, formats) for name in frame.columns if name not in taken}
    found = [FoundTimes(name, None if form == _ISO else form) for name, form in held.items() if form is not None]
    if len(found) == 1:
        return found[0]
    said = f"{', '.join(repr(times.column) for times in found)} hold times" if found else "no column holds times"
    raise ValueError(
        f"series.time_column: none given, and in {file} {said}; name it (its columns are {frame.columns}), of a date "
        "and an hour in two columns both, and state its time_format if it is not ISO 8601"
    )


def find_frequency(times: pl.Series) -> str | None:
    """The step of a table as a polars duration; None where steps are uneven.

    Args:
        times: Timestamps `Datetime("us")` in any order.
    """
    stamps = times.unique().sort()
    if len(stamps) < 3:
        return None
    steps = np.diff(stamps.to_numpy()).astype("timedelta64[us]").astype(np.int64)
    lengths, counts = np.unique(steps, return_counts=True)
    length = int(lengths[counts.argmax()])
    if counts.max() / len(steps) >= _REGULAR and (steps % length == 0).all() and length % 1_000_000 == 0:
        seconds = length // 1_000_000
        size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
        return f"{seconds // size}{unit}"
    for step in ("1mo", "3mo", "1y"):
        even = even_times(stamps, first=stamps[0], last=stamps[-1], frequency=step)
        if stamps.is_in(even.implode()).all() and len(stamps) >= _REGULAR * len(even):
            return step
    return None


def unseen_gaps(times: pl.Series, *, path: object) -> list[str]:
    """A line for a table whose rows are taken one by one although all but a few are a step apart.

    Args:
        times: Timestamps, ascending.
        path: Of the table, for the line.
    """
    step = find_frequency(times)
    if step is None:
        return []
    absent = len(even_times(times, first=times[0], last=times[-1], frequency=step)) - len(times)
    if absent <= 0:
        return []
    rows = "a row is" if absent == 1 else f"{absent:,} rows are"
    return [
        f"{path}: {rows} missing between times that are else {step} apart, which counts as no gap while "
        f"series.frequency is null; series.frequency: {step} refuses or fills gaps, as data.missing says"
    ]


def _format_of(column: pl.Series, file: str, formats: Sequence[str]) -> str | None:
    """The first format that a column of times has; None for any other column."""
    some = column.drop_nulls().head(_LOOKED_AT)
    if some.is_empty():
        return None
    if some.dtype == pl.Date or isinstance(some.dtype, pl.Datetime):
        return _ISO
    if some.dtype != pl.String and not (some.dtype.is_integer() and _ISO not in formats):
        return None  # whole numbers without a format may be anything
    for form in formats:
        try:
            given = None if form == _ISO else form
            timestamps(some.to_frame(), name=file, column=some.name, time_format=given)
        except ValueError:
            continue
        return form
    return None
