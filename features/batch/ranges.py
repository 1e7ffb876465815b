"""Ranges of events by position: histories one after another, each in order of time, and windows in them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Histories:
    """Events of all histories, sorted by history and time.

    Attributes:
        codes: Number of the history of each event, int64 (n,), ascending.
        times: Event times in microseconds, int64 (n,), ascending within a history.
        events: Row of each event in the table of events, int64 (n,).
    """

    codes: np.ndarray
    times: np.ndarray
    events: np.ndarray

    @cached_property
    def starts(self) -> np.ndarray:
        """Position of the first event of each history, int64 (number of histories + 1,)."""
        return np.searchsorted(self.codes, np.arange(int(self.codes[-1]) + 2 if len(self.codes) else 1))

    def before(self, codes: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Position of the first event at or after a time; the end of the history if there is none.

        Args:
            codes: Histories that have events, int64 (m,).
            times: Times, int64 (m,).
        """
        first, span, packed = self._packed
        if packed is not None:
            return np.searchsorted(packed, codes * span + (np.clip(times, first, first + span - 1) - first))
        distinct = np.unique(self.times)
        size = len(distinct) + 1
        return np.searchsorted(
            self.codes * size + np.searchsorted(distinct, self.times), codes * size + np.searchsorted(distinct, times)
        )

    @cached_property
    def _packed(self) -> tuple[int, int, np.ndarray | None]:
        """History and time as one number: first time, span of times, and the numbers unless they are too large."""
        if not len(self.times):
            return 0, 1, self.times
        first = int(self.times.min())
        span = int(self.times.max()) - first + 2  # times before the first event are 0, after the last span - 1
        fits = (int(self.codes[-1]) + 1) * span < 2**62
        return first, span, self.codes * span + (self.times - first) if fits else None

    def only(self, keep: np.ndarray) -> "Histories":
        """Some of the events.

        Args:
            keep: bool (n,).
        """
        return Histories(codes=self.codes[keep], times=self.times[keep], events=self.events[keep])


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """Events [low, high) of each row, by position.

    Attributes:
        low: int64 (m,).
        high: int64 (m,), not below `low`.
    """

    low: np.ndarray
    high: np.ndarray

    @cached_property
    def count(self) -> np.ndarray:
        """Number of events, int64 (m,)."""
        return self.high - self.low

    def among(self, earlier: np.ndarray) -> "Ranges":
        """The same ranges among the events that were kept.

        Args:
            earlier: How many events before a position were kept, int64 (n + 1,).
        """
        return Ranges(low=earlier[self.low], high=earlier[self.high])

    def last(self, rows: int) -> "Ranges":
        """The last events of each range.

        Args:
            rows: Number of events.
        """
        return Ranges(low=np.maximum(self.low, self.high - rows), high=self.high)

    def part(self) -> tuple[slice, "Ranges"]:
        """The stretch of events that all ranges lie in, and the ranges inside of it."""
        filled = self.count > 0
        high = int(self.high[filled].max(initial=0))
        low = int(self.low[filled].min(initial=high))
        inside = Ranges(low=np.clip(self.low - low, 0, high - low), high=np.clip(self.high - low, 0, high - low))
        return slice(low, high), inside


def count_before(keep: np.ndarray) -> np.ndarray:
    """How many are kept before each position, int64 (n + 1,).

    Args:
        keep: bool (n,).
    """
    return np.concatenate([[0], np.cumsum(keep)])


def sort_order(codes: np.ndarray, times: np.ndarray, *, stable: bool) -> np.ndarray:
    """Order by history, then time.

    Args:
        codes: int64 (n,), -1 or more.
        times: int64 (n,).
        stable: Whether equal ones keep their order.
    """
    if not len(codes):
        return np.zeros(0, dtype=np.int64)
    first = int(times.min())
    span = int(times.max()) - first + 1
    if (int(codes.max()) + 2) * span < 2**62:
        packed = (codes + 1) * span + (times - first)
        order = np.argsort(packed)  # several times as fast as a stable sort, which is the same without equal numbers
        return np.argsort(packed, kind="stable") if stable and (np.diff(packed[order]) == 0).any() else order
    return np.lexsort((times, codes))
