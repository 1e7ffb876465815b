"""Features of history over the events that rows see."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from features.batch.columns import Values
from features.batch.decay import decayed_sums
from features.batch.distinct import range_distinct
from features.batch.extremes import range_extremes
from features.batch.ranges import Histories, Ranges
from features.batch.reasons import Reason
from features.batch.sums import range_stds, range_sums
from features.batch.visible import Visible
from features.definitions import Aggregate, Decayed, HistoryFeature, Lag, TimeSince
from features.definitions.duration import microseconds


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Values of a feature for some rows.

    Attributes:
        values: Values (m,), or the row of the table of events that each is taken from if `taken`.
        reasons: Reason codes, uint8 (m,).
        taken: Whether values are rows of events.
    """

    values: np.ndarray
    reasons: np.ndarray
    taken: bool = False


def answer(feature: HistoryFeature, seen: Visible, *, column: Values | None, where: np.ndarray | None) -> Answer:
    """Computes a feature of history.

    Args:
        feature: The feature.
        seen: Rows and the events that they see.
        column: Values of the feature's column, by row of the table of events.
        where: Which rows of the table of events meet the feature's condition; None for all.
    """
    histories, ranges = seen.histories, seen.ranges
    if isinstance(feature, Aggregate) and (feature.window or feature.offset):
        ranges = _window(feature, seen)
    if where is not None:
        keep = where[histories.events]
        histories, ranges = _kept(histories, keep), ranges.kept(keep)
    if isinstance(feature, Aggregate) and feature.rows is not None:
        ranges = ranges.last(feature.rows)
    none = np.where(ranges.count > 0, Reason.MISSING, _without_events(seen)).astype(np.uint8)
    if isinstance(feature, Lag):
        return _taken(histories, ranges.high - feature.rows, ranges, none, column)
    if isinstance(feature, TimeSince):
        position = ranges.low if feature.event == "first" else ranges.high - 1
        present = ranges.count > 0
        elapsed = (seen.times - _take(histories.times, position)) / microseconds(feature.per)
        return _answer(elapsed, present, none)
    if column is not None:
        keep = column.valid[histories.events]
        if not keep.all():
            histories, ranges = _kept(histories, keep), ranges.kept(keep)
    if isinstance(feature, Decayed):
        return _decayed(feature, histories, ranges, none, column=column, times=seen.times)
    return _aggregate(feature.function, histories, ranges, none, column)


def _aggregate(function: str, histories: Histories, ranges: Ranges, none: np.ndarray, column: Values | None) -> Answer:
    count = ranges.count
    if function == "count":
        return _answer(count, np.ones(len(count), dtype=bool), none)
    assert column is not None
    if function in ("first", "last"):
        return _taken(histories, ranges.low if function == "first" else ranges.high - 1, ranges, none, column)
    part, inside = _part(ranges)
    numbers = column.numbers[histories.events[part]]
    if function == "distinct":
        codes = np.unique(numbers, return_inverse=True)[1].astype(np.int64)
        return _answer(range_distinct(codes, inside), np.ones(len(count), dtype=bool), none)
    if function in ("min", "max"):
        return _answer(range_extremes(numbers, inside, "min" if function == "min" else "max"), count > 0, none)
    if function == "sum" and numbers.dtype.kind in "iu":
        running = np.concatenate([[0], np.cumsum(numbers)])
        return _answer(running[inside.high] - running[inside.low], count > 0, none)
    numbers = numbers.astype(np.float64)
    if function == "std":
        return _answer(range_stds(numbers, inside), count > 1, none)
    total = range_sums(numbers, inside)
    return _answer(total if function == "sum" else total / np.maximum(count, 1), count > 0, none)


def _part(ranges: Ranges) -> tuple[slice, Ranges]:
    """The stretch of events that all ranges lie in, and the ranges inside of it."""
    filled = ranges.count > 0
    low, high = int(ranges.low[filled].min(initial=ranges.high.max(initial=0))), int(ranges.high.max(initial=0))
    clipped = (np.clip(bound - low, 0, high - low) for bound in (ranges.low, ranges.high))
    return slice(low, high), Ranges(low=next(clipped), high=next(clipped))


def _decayed(
    feature: Decayed,
    histories: Histories,
    ranges: Ranges,
    none: np.ndarray,
    *,
    column: Values | None,
    times: np.ndarray,
) -> Answer:
    half_life = microseconds(feature.half_life)
    part, inside = _part(ranges)
    moments, codes = histories.times[part], histories.codes[part]
    present, newest = inside.count > 0, inside.high - 1
    weight = 0.5 ** (np.where(present, times - _take(moments, newest), 0) / half_life)

    def at_newest(values: np.ndarray) -> np.ndarray:
        starts = np.searchsorted(codes, codes) if len(codes) else codes
        return np.where(present, _take(decayed_sums(values, moments, starts, half_life), newest), 0.0)

    if feature.function == "count":
        return _answer(weight * at_newest(np.ones(len(codes))), np.ones(len(present), dtype=bool), none)
    assert column is not None
    total = at_newest(column.numbers[histories.events[part]].astype(np.float64))
    if feature.function == "sum":
        return _answer(weight * total, present, none)
    # The weight of the row is in both and left out: it may be too small for a float.
    return _answer(total / np.where(present, at_newest(np.ones(len(codes))), 1.0), present, none)


def _window(feature: Aggregate, seen: Visible) -> Ranges:
    end = seen.times - (microseconds(feature.offset) if feature.offset else 0)
    low, high = seen.ranges.low, seen.ranges.high
    if feature.offset:
        high = np.clip(seen.histories.before(seen.codes, end), low, high)
    if feature.window:
        low = np.clip(seen.histories.before(seen.codes, end - microseconds(feature.window)), low, high)
    return Ranges(low=low, high=high)


def _without_events(seen: Visible) -> np.ndarray:
    """Reason of a row whose feature has no events."""
    none = np.where(seen.pending, Reason.NOT_YET_AVAILABLE, Reason.NEVER)
    return np.where(seen.ranges.count > 0, Reason.EXPIRED, none)


def _taken(
    histories: Histories, position: np.ndarray, ranges: Ranges, none: np.ndarray, column: Values | None
) -> Answer:
    assert column is not None
    reached = (position >= ranges.low) & (position < ranges.high)
    row = np.where(reached, _take(histories.events, position), -1)
    present = reached & (_take(column.valid, row) if len(column.valid) else False)
    reasons = np.where(present, Reason.PRESENT, np.where(reached | (ranges.count == 0), none, Reason.EXPIRED))
    return Answer(values=np.where(present, row, -1), reasons=reasons.astype(np.uint8), taken=True)


def _answer(values: np.ndarray, present: np.ndarray, none: np.ndarray) -> Answer:
    return Answer(values=values, reasons=np.where(present, Reason.PRESENT, none).astype(np.uint8))


def _kept(histories: Histories, keep: np.ndarray) -> Histories:
    return Histories(codes=histories.codes[keep], times=histories.times[keep], events=histories.events[keep])


def _take(values: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Values at positions, any value at positions outside."""
    if not len(values):
        return np.zeros(len(position), dtype=values.dtype)
    return values[np.clip(position, 0, len(values) - 1)]


def column_dtype(feature: HistoryFeature, column: Values | None) -> pl.DataType:
    """Type of the values of a feature."""
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
