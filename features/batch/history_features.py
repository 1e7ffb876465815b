"""Features of history over the events that rows see: numbers, or the events that they are taken from."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from features.batch.columns import Values
from features.batch.decay import decayed_sums
from features.batch.distinct import range_distinct
from features.batch.extremes import range_extremes
from features.batch.ranges import Histories, Ranges
from features.batch.reasons import Reason
from features.batch.sums import range_means, range_stds, range_sums
from features.batch.windows import Windows
from features.definitions import Aggregate, Decayed, HistoryFeature, Lag, TimeSince
from features.definitions.duration import microseconds


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Values of a feature for some rows.

    Attributes:
        values: Values (m,); of a feature that takes a value of an event, its row in the table of events or -1.
        reasons: Reason codes, uint8 (m,).
    """

    values: np.ndarray
    reasons: np.ndarray


def takes_event(feature: HistoryFeature) -> bool:
    """Whether the value of a feature is that of one event, whatever the column's type.

    Args:
        feature: The feature.
    """
    return isinstance(feature, Lag) or (isinstance(feature, Aggregate) and feature.function in ("first", "last"))


def taken_event(feature: HistoryFeature, windows: Windows) -> Answer:
    """Event whose value a feature takes; whether the value is null is not looked at.

    Args:
        feature: The feature, one that takes an event.
        windows: Rows and events.
    """
    if isinstance(feature, Lag):
        histories, ranges, count = windows.events(where=None)
        position = ranges.high - feature.rows
    else:
        assert isinstance(feature, Aggregate)
        histories, ranges, count = _events(feature, windows)
        position = ranges.low if feature.function == "first" else ranges.high - 1
    reached = (position >= ranges.low) & (position < ranges.high)
    if isinstance(feature, Lag):
        none = np.where(count > 0, np.uint8(Reason.EXPIRED), _without_events(windows))
    else:
        none = _none(windows, count)
    rows = np.where(reached, _take(histories.events, position), -1)
    return Answer(values=rows, reasons=np.where(reached, np.uint8(Reason.PRESENT), none))


def computed(feature: HistoryFeature, windows: Windows, column: Values | None) -> Answer:
    """Numbers of a feature that takes no event.

    Args:
        feature: The feature.
        windows: Rows and events.
        column: Values of the feature's column, by row of the table of events.
    """
    if isinstance(feature, TimeSince):
        histories, ranges, count = windows.events(where=feature.where)
        position = ranges.low if feature.event == "first" else ranges.high - 1
        elapsed = (windows.seen.times - _take(histories.times, position)) / microseconds(feature.per)
        return _answer(elapsed, count > 0, windows, count)
    if isinstance(feature, Decayed):
        return _decayed(feature, windows, column)
    assert isinstance(feature, Aggregate)
    histories, ranges, count = _events(feature, windows)
    if feature.function == "count":
        return Answer(values=ranges.count, reasons=np.zeros(len(count), dtype=np.uint8))
    assert column is not None
    part, inside = ranges.part()
    numbers = column.numbers[histories.events[part]]
    if feature.function == "distinct":
        codes = np.unique(numbers, return_inverse=True)[1].astype(np.int64)
        return Answer(values=range_distinct(codes, inside), reasons=np.zeros(len(count), dtype=np.uint8))
    least = 2 if feature.function == "std" else 1
    return _answer(_aggregate(feature.function, numbers, inside), inside.count >= least, windows, count)


def _aggregate(function: str, numbers: np.ndarray, ranges: Ranges) -> np.ndarray:
    if function in ("min", "max"):
        return range_extremes(numbers, ranges, "min" if function == "min" else "max")
    if function == "sum" and numbers.dtype.kind in "iu":
        running = np.concatenate([[0], np.cumsum(numbers)])
        return running[ranges.high] - running[ranges.low]
    numbers = numbers.astype(np.float64, copy=False)
    if function == "std":
        return range_stds(numbers, ranges)
    return range_sums(numbers, ranges) if function == "sum" else range_means(numbers, ranges)


def _decayed(feature: Decayed, windows: Windows, column: Values | None) -> Answer:
    histories, ranges, count = windows.events(where=feature.where, column=feature.column)
    half_life = microseconds(feature.half_life)
    part, inside = ranges.part()
    times, codes = histories.times[part], histories.codes[part]
    present, newest = inside.count > 0, inside.high - 1
    weight = 0.5 ** (np.where(present, windows.seen.times - _take(times, newest), 0) / half_life)

    def at_newest(values: np.ndarray) -> np.ndarray:
        starts = np.searchsorted(codes, codes) if len(codes) else codes
        return np.where(present, _take(decayed_sums(values, times, starts, half_life), newest), 0.0)

    if feature.function == "count":
        return Answer(values=weight * at_newest(np.ones(len(codes))), reasons=np.zeros(len(count), dtype=np.uint8))
    assert column is not None
    total = at_newest(column.numbers[histories.events[part]].astype(np.float64))
    if feature.function == "sum":
        return _answer(weight * total, present, windows, count)
    # The weight of the row is in both and left out: it may be too small for a float.
    return _answer(total / np.where(present, at_newest(np.ones(len(codes))), 1.0), present, windows, count)


def _events(feature: Aggregate, windows: Windows) -> tuple[Histories, Ranges, np.ndarray]:
    return windows.events(
        where=feature.where, window=feature.window, offset=feature.offset, rows=feature.rows, column=feature.column
    )


def _without_events(windows: Windows) -> np.ndarray:
    """Reason of a row whose feature has no events."""
    seen = windows.seen
    none = np.where(seen.pending, np.uint8(Reason.NOT_YET_AVAILABLE), np.uint8(Reason.NEVER))
    return np.where(seen.ranges.count > 0, np.uint8(Reason.EXPIRED), none)


def _none(windows: Windows, count: np.ndarray) -> np.ndarray:
    return np.where(count > 0, np.uint8(Reason.MISSING), _without_events(windows))


def _answer(values: np.ndarray, present: np.ndarray, windows: Windows, count: np.ndarray) -> Answer:
    if present.all():
        return Answer(values=values, reasons=np.zeros(len(values), dtype=np.uint8))
    return Answer(values=values, reasons=np.where(present, np.uint8(Reason.PRESENT), _none(windows, count)))


def _take(values: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Values at positions, any value at positions outside."""
    if not len(values):
        return np.zeros(len(position), dtype=values.dtype)
    return np.take(values, position, mode="clip")


def column_dtype(feature: HistoryFeature, column: Values | None) -> pl.DataType:
    """Type of the values of a feature.

    Args:
        feature: The feature.
        column: Its column.
    """
    if isinstance(feature, Lag):
        assert column is not None
        return column.column.dtype
    if isinstance(feature, Aggregate):
        if feature.function in ("count", "distinct"):
            return pl.Int64()
        assert column is not None
        if feature.function in ("min", "max", "first", "last"):
            return column.column.dtype
        if feature.function == "sum" and not column.column.dtype.is_float():
            return pl.Int64()
    return pl.Float64()
