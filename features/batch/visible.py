"""Visible events: which events of its entity a row sees, as ranges of positions.

Most rows see a whole stretch of the last versions of events. A row at a time at which one event was not known yet but a
later one was, or an event was known in a version that was replaced afterwards, gets a copy of the events that it sees
as a history of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from features.batch.event_log import NEVER_REPLACED, EventLog, Versions
from features.batch.extremes import range_extremes
from features.batch.ranges import Histories, Ranges, count_before, sort_order

ROWS_PER_CHUNK, COPIES_PER_CHUNK = 250_000, 4_000_000


@dataclass(frozen=True, kw_only=True)
class Visible:
    """Rows with the events that they see.

    Attributes:
        rows: Rows, int64 (m,).
        histories: Events; the same object for all chunks that need no copy.
        codes: Number of the history of each row, int64 (m,).
        times: Times of the rows, int64 (m,).
        ranges: Events that each row sees.
        pending: Whether an event before the row's time was not available at it, bool (m,).
        copied: Whether the events are a copy for these rows.
    """

    rows: np.ndarray
    histories: Histories
    codes: np.ndarray
    times: np.ndarray
    ranges: Ranges
    pending: np.ndarray
    copied: bool


def visible_events(log: EventLog, codes: np.ndarray, times: np.ndarray) -> Iterator[Visible]:
    """Yields rows in chunks with the events that they see.

    Args:
        log: The events.
        codes: Number of the history of each row, int64 (m,); -1 for one without events.
        times: Times of the rows, int64 (m,).
    """
    every, versions = log.histories, log.versions
    final, earlier, settled = every, None, None
    if versions is not None and len(every.times):
        is_last = versions.replaced == NEVER_REPLACED
        settled = _settled(every, np.where(is_last, versions.known, versions.replaced))
        if not is_last.all():
            final, earlier = every.only(is_last), count_before(is_last)
    order = sort_order(codes, times, stable=False)
    for begin in range(0, len(order), ROWS_PER_CHUNK):
        rows = order[begin : begin + ROWS_PER_CHUNK]
        at, history = times[rows], codes[rows]
        ranges = _before(every, history, at)
        pending = np.zeros(len(rows), dtype=bool)
        if versions is not None and settled is not None:
            # All before `until` is known in its last version. If all after it is unknown, nothing need be copied.
            until = np.clip(_before(settled, history, at + 1).high, ranges.low, ranges.high)
            pending = until < ranges.high
            newest = range_extremes(versions.known, Ranges(low=until, high=ranges.high), "min")
            plain = ~pending | (newest > at)
            for chosen in _pieces(np.flatnonzero(~plain), ranges.count):
                seen = Ranges(low=ranges.low[chosen], high=ranges.high[chosen])
                yield _copied(every, versions, rows[chosen], at[chosen], seen)
            rows, at, history, pending = rows[plain], at[plain], history[plain], pending[plain]
            ranges = Ranges(low=ranges.low[plain], high=until[plain])
        if len(rows):
            yield Visible(
                rows=rows,
                histories=final,
                codes=history,
                times=at,
                ranges=ranges if earlier is None else ranges.among(earlier),
                pending=pending,
                copied=False,
            )


def _before(histories: Histories, codes: np.ndarray, times: np.ndarray) -> Ranges:
    """Events of each row's history before its time; none for the history -1."""
    known = codes >= 0
    if not len(histories.times) or not known.any():
        return Ranges(low=np.zeros(len(codes), dtype=np.int64), high=np.zeros(len(codes), dtype=np.int64))
    low = histories.starts[np.maximum(codes, 0)]
    return Ranges(low=np.where(known, low, 0), high=np.where(known, histories.before(codes, times), 0))


def _copied(histories: Histories, versions: Versions, rows: np.ndarray, times: np.ndarray, ranges: Ranges) -> Visible:
    count = ranges.count
    owner = np.repeat(np.arange(len(rows)), count)
    offsets = count_before(count)
    position = np.arange(len(owner)) - offsets[owner] + ranges.low[owner]
    at = times[owner]
    known = versions.known[position] <= at
    seen = known & (at < versions.replaced[position])
    pending = np.bincount(owner[~known], minlength=len(rows)) > 0
    kept, owner = position[seen], owner[seen]
    ends = count_before(np.bincount(owner, minlength=len(rows)))
    return Visible(
        rows=rows,
        histories=Histories(codes=owner, times=histories.times[kept], events=histories.events[kept]),
        codes=np.arange(len(rows)),
        times=times,
        ranges=Ranges(low=ends[:-1], high=ends[1:]),
        pending=pending,
        copied=True,
    )


def _settled(histories: Histories, times: np.ndarray) -> Histories:
    """The histories with the largest of some times so far in place of event times."""
    distinct, rank = np.unique(times, return_inverse=True)
    offset = histories.codes * len(distinct)
    latest = distinct[np.maximum.accumulate(offset + rank) - offset]
    return Histories(codes=histories.codes, times=latest, events=histories.events)


def _pieces(rows: np.ndarray, count: np.ndarray) -> Iterator[np.ndarray]:
    """Rows in pieces of so many events that copies of them stay small."""
    if len(rows):
        yield from np.split(rows, np.flatnonzero(np.diff(np.cumsum(count[rows]) // COPIES_PER_CHUNK)) + 1)
