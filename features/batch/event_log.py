"""Event log: histories of entities with the versions of each event, and which of them is known when."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from features.batch.ranges import Histories
from features.sources import AVAILABLE, ID, TIME

ALWAYS, NEVER_ENDS = np.iinfo(np.int64).min, np.iinfo(np.int64).max


@dataclass(frozen=True, kw_only=True)
class EventLog:
    """All versions of all events, sorted by history, event time, availability and place in the table.

    A version is known from `known` until before `replaced`.

    Attributes:
        histories: The versions.
        known: Microseconds, int64 (n,).
        replaced: Microseconds, int64 (n,); the largest number if a version is the last one.
    """

    histories: Histories
    known: np.ndarray
    replaced: np.ndarray


def event_log(events: pl.DataFrame, codes: np.ndarray) -> EventLog:
    """Sorts events into histories.

    Args:
        events: Events as `read_source` returns them, in order of the table.
        codes: Number of the history of each event, int64 (n,).
    """
    times = events[TIME].to_physical().to_numpy().astype(np.int64, copy=False)
    if AVAILABLE not in events.columns:
        order = _order(codes, times)
        known = np.full(len(order), ALWAYS)
    else:
        known = events[AVAILABLE].to_physical().to_numpy().astype(np.int64, copy=False)
        order = np.lexsort((known, times, codes))
    replaced = _replaced(events, times)
    histories = Histories(codes=codes[order], times=times[order], events=order)
    known = known if AVAILABLE not in events.columns else known[order]
    return EventLog(histories=histories, known=known, replaced=replaced[order])


def _order(codes: np.ndarray, times: np.ndarray) -> np.ndarray:
    if not len(codes):
        return np.zeros(0, dtype=np.int64)
    span = int(times.max()) - int(times.min()) + 1
    if (int(codes.max()) + 1) * span < 2**62:
        return np.argsort(codes * span + (times - times.min()), kind="stable")
    return np.lexsort((times, codes))


def _replaced(events: pl.DataFrame, times: np.ndarray) -> np.ndarray:
    """Time at which the next version of the same event became known; of two at the same time the later row counts."""
    never = np.full(len(times), NEVER_ENDS)
    if ID not in events.columns:
        return never
    ids = events[ID]
    rows = np.flatnonzero(ids.is_not_null().to_numpy())
    number = ids.drop_nulls().to_numpy()
    since = events[AVAILABLE if AVAILABLE in events.columns else TIME].to_physical().to_numpy()[rows]
    order = np.lexsort((since, number))
    same = number[order][1:] == number[order][:-1]
    never[rows[order[:-1][same]]] = since[order[1:][same]]
    return never
