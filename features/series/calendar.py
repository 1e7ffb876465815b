"""Calendar features of timestamps, known for any future time."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Literal

import numpy as np
import polars as pl

CalendarFeature = Literal["hour", "day_of_week", "day_of_month", "day_of_year", "month"]

_RANGES: dict[str, tuple[int, int]] = {
    "hour": (0, 23),
    "day_of_week": (1, 7),
    "day_of_month": (1, 31),
    "day_of_year": (1, 366),
    "month": (1, 12),
}


def calendar_features(times: np.ndarray, features: Sequence[CalendarFeature]) -> np.ndarray:
    """Calendar features of timestamps, each scaled from its range to [-0.5, 0.5].

    Args:
        times: `datetime64[us]` (T,).
        features: K features.

    Returns:
        float64 (T, K).
    """
    stamps = pl.Series(times).dt
    raw = {
        "hour": stamps.hour,
        "day_of_week": stamps.weekday,
        "day_of_month": stamps.day,
        "day_of_year": stamps.ordinal_day,
        "month": stamps.month,
    }
    table = np.zeros((len(times), len(features)))
    for column, feature in enumerate(features):
        low, high = _RANGES[feature]
        table[:, column] = (raw[feature]().to_numpy() - low) / (high - low) - 0.5
    return table


def calendar_name(feature: CalendarFeature) -> str:
    """Name of a feature with the range that is scaled to [-0.5, 0.5]."""
    low, high = _RANGES[feature]
    return f"{feature} ({low} to {high} as -0.5 to 0.5)"


def extend(times: np.ndarray, frequency: str | None, length: int) -> np.ndarray:
    """Continues timestamps to `length` rows.

    Args:
        times: `datetime64[us]` (T,), ascending.
        frequency: Step as a polars duration; None continues with the median step.
        length: Number of rows; fewer than T truncates.

    Returns:
        `datetime64[us]` (length,).
    """
    missing = length - len(times)
    if missing <= 0:
        return times[:length]
    if frequency is None:
        step = np.median(np.diff(times).astype(np.int64)).astype("timedelta64[us]")
        return np.concatenate([times, times[-1] + step * np.arange(1, missing + 1)])
    fixed = fixed_step(frequency)
    if fixed is not None and (times[-1] - times[0]) % fixed == np.timedelta64(0, "us"):
        return np.concatenate([times, times[-1] + fixed * np.arange(1, missing + 1)])
    last = pl.Series(times[-1:])
    for _ in range(missing + 1):  # one extra, as a step from 28 February ends before one from 31 January
        last = last.dt.offset_by(frequency)
    even = even_times(pl.Series(times), first=times[0].item(), last=last[0], frequency=frequency).to_numpy()
    return np.concatenate([times, even[even > times[-1]][:missing]])


def even_times(times: pl.Series, *, first: datetime, last: datetime, frequency: str) -> pl.Series:
    """Evenly spaced timestamps, counted from the first: 31 January, 29 February, 31 March are steps of `1mo`.

    Args:
        times: Existing timestamps; if all are ends of months, steps of months go from end to end.
        first: The first timestamp.
        last: Upper bound of the last one.
        frequency: Step as a polars duration.

    Returns:
        `Datetime("us")`, named `time`.
    """
    stamps = times.cast(pl.Datetime("us"))
    even = pl.datetime_range(first, last, frequency, time_unit="us", eager=True)
    if frequency.endswith(("mo", "q", "y")) and (stamps == stamps.dt.month_end()).all():
        even = pl.datetime_range(first.replace(day=1), last, frequency, time_unit="us", eager=True).dt.month_end()
        even = even.filter(even <= last)
    return even.alias("time")


@lru_cache(maxsize=64)
def fixed_step(frequency: str | None) -> np.timedelta64 | None:
    """Length of a step, `timedelta64[us]`; None if steps are uneven, such as months.

    Args:
        frequency: Step as a polars duration, or None.
    """
    if frequency is None:
        return None
    starts = pl.Series([datetime(2000, 1, 31), datetime(2001, 2, 28), datetime(2003, 12, 1)])
    steps = np.unique((starts.dt.offset_by(frequency) - starts).to_numpy())
    return None if len(steps) > 1 else steps[0].astype("timedelta64[us]")
