"""Event log: histories of entities, with the versions of each event and the time from which each is known."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from features.batch.ranges import Histories, sort_order
from features.sources import AVAILABLE, ID, TIME

NEVER_REPLACED = np.iinfo(np.int64).max


@dataclass(frozen=True, kw_only=True)
class Versions:
    """When versions of events are known: from `known` until before `replaced`.

    Attributes:
        known: Microseconds, int64 (n,).
        replaced: Microseconds, int64 (n,); the largest number if a version is the last one.
    """

    known: np.ndarray
    replaced: np.ndarray


@dataclass(frozen=True, kw_only=True)
class EventLog:
    """All versions of all events, sorted by history, event time, availability and place in the table.

    Attributes:
        histories: The versions.
        versions: When each is known; None if all are from their event time on.
    """

    histories: Histories
    versions: Versions | None


def event_log(events: pl.DataFrame, codes: np.ndarray) -> EventLog:
    """Sorts events into histories.

    Args:
        events: Events as `read_source` returns them, in order of the table.
        codes: Number of the history of each event, int64 (n,).
    """
    times = events[TIME].to_physical().to_numpy().astype(np.int64, copy=False)
    versions = None
    if AVAILABLE in events.columns:
        known = events[AVAILABLE].to_physical().to_numpy().astype(np.int64, copy=False)
        order = np.lexsort((known, times, codes))
    else:
        known = times
        order = sort_order(codes, times, stable=True)
    if AVAILABLE in events.columns or ID in events.columns:
        versions = Versions(known=known[order], replaced=_replaced(events, times)[order])
    return EventLog(histories=Histories(codes=codes[order], times=times[order], events=order), versions=versions)


def _replaced(events: pl.DataFrame, times: np.ndarray) -> np.ndarray:
    """Time at which the next version of the same event became known; of two at the same time the later row counts."""
    never = np.full(len(times), NEVER_REPLACED)
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
