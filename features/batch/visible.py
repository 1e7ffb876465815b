"""Visible events: which events of its entity a row sees, as ranges of positions.

Most rows see a whole stretch of the last versions of events. A row at a time at which an event before it was not known
yet, or known in a version that was replaced later, gets a copy of the events that it sees as a history of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from features.batch.event_log import NEVER_ENDS, EventLog
from features.batch.ranges import Histories, Ranges

_COPIED = 4_000_000


@dataclass(frozen=True, kw_only=True)
class Visible:
    """Rows with the events that they see.

    Attributes:
        rows: Rows, int64 (m,).
        histories: Events.
        codes: Number of the history of each row, int64 (m,).
        times: Times of the rows, int64 (m,).
        ranges: Events that each row sees.
        pending: Whether an event before the row's time was not available at it, bool (m,).
    """

    rows: np.ndarray
    histories: Histories
    codes: np.ndarray
    times: np.ndarray
    ranges: Ranges
    pending: np.ndarray


def visible_events(log: EventLog, codes: np.ndarray, times: np.ndarray, chunk: int = 250_000) -> Iterator[Visible]:
    """Yields rows in chunks with the events that they see.

    Args:
        log: The events.
        codes: Number of the history of each row, int64 (m,); -1 for one without events.
        times: Times of the rows, int64 (m,).
        chunk: Rows per chunk.
    """
    every = log.histories
    is_last = log.replaced == NEVER_ENDS
    final = every if is_last.all() else _only(every, is_last)
    settled = _running_maximum(every.codes, np.where(is_last, log.known, log.replaced))
    order = np.lexsort((times, codes))
    for begin in range(0, len(order), chunk):
        rows = order[begin : begin + chunk]
        at, history = times[rows], codes[rows]
        low, high = every.before(history, np.full(len(rows), np.iinfo(np.int64).min)), every.before(history, at)
        low, high = np.where(history < 0, 0, low), np.where(history < 0, 0, high)
        plain = (high == low) | (settled[np.maximum(high - 1, 0)] <= at if len(settled) else True)
        for chosen in _pieces(np.flatnonzero(~plain), (high - low)):
            yield _copied(log, rows[chosen], at[chosen], Ranges(low=low[chosen], high=high[chosen]))
        if plain.any():
            ranges = Ranges(low=low[plain], high=high[plain])
            yield Visible(
                rows=rows[plain],
                histories=final,
                codes=history[plain],
                times=at[plain],
                ranges=ranges if final is every else ranges.kept(is_last),
                pending=np.zeros(int(plain.sum()), dtype=bool),
            )


def _copied(log: EventLog, rows: np.ndarray, times: np.ndarray, ranges: Ranges) -> Visible:
    count = ranges.count
    owner = np.repeat(np.arange(len(rows)), count)
    offsets = np.concatenate([[0], np.cumsum(count)])
    position = np.arange(len(owner)) - offsets[owner] + ranges.low[owner]
    at = times[owner]
    known = log.known[position] <= at
    seen = known & (at < log.replaced[position])
    pending = np.bincount(owner[~known], minlength=len(rows)) > 0
    kept, owner = position[seen], owner[seen]
    ends = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(rows)))])
    histories = Histories(codes=owner, times=log.histories.times[kept], events=log.histories.events[kept])
    return Visible(
        rows=rows,
        histories=histories,
        codes=np.arange(len(rows)),
        times=times,
        ranges=Ranges(low=ends[:-1], high=ends[1:]),
        pending=pending,
    )


def _only(histories: Histories, keep: np.ndarray) -> Histories:
    return Histories(codes=histories.codes[keep], times=histories.times[keep], events=histories.events[keep])


def _running_maximum(codes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Largest value so far within each history."""
    if not len(codes):
        return values
    distinct, rank = np.unique(values, return_inverse=True)
    if len(distinct) == 1:
        return values
    return distinct[np.maximum.accumulate(codes * len(distinct) + rank) - codes * len(distinct)]


def _pieces(rows: np.ndarray, count: np.ndarray) -> Iterator[np.ndarray]:
    """Rows in pieces of so many events that copies of them stay small."""
    if len(rows):
        yield from np.split(rows, np.flatnonzero(np.diff(np.cumsum(count[rows]) // _COPIED)) + 1)
