"""Ranges of events by position: histories one after another, each in order of time, and windows in them."""

from dataclasses import dataclass

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

    def before(self, codes: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Position of the first event at or after a time; the end of the history if there is none.

        Args:
            codes: Histories, int64 (m,).
            times: Times, int64 (m,).
        """
        if not len(self.times):
            return np.zeros(len(codes), dtype=np.int64)
        first = int(self.times.min())
        span = int(self.times.max()) - first + 2  # times before the first event are 0, after the last span - 1
        count = int(max(self.codes[-1], codes.max(initial=0))) + 1
        if count * span < 2**62:
            packed = self.codes * span + (self.times - first)
            return np.searchsorted(packed, codes * span + (np.clip(times, first, first + span - 1) - first))
        distinct = np.unique(self.times)
        size = len(distinct) + 1
        packed = self.codes * size + np.searchsorted(distinct, self.times)
        return np.searchsorted(packed, codes * size + np.searchsorted(distinct, times))


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """Events [low, high) of each row, by position.

    Attributes:
        low: int64 (m,).
        high: int64 (m,), not below `low`.
    """

    low: np.ndarray
    high: np.ndarray

    @property
    def count(self) -> np.ndarray:
        """Number of events, int64 (m,)."""
        return self.high - self.low

    def kept(self, keep: np.ndarray) -> "Ranges":
        """The same ranges among the events that are kept.

        Args:
            keep: bool (n,).
        """
        earlier = np.concatenate([[0], np.cumsum(keep)])
        return Ranges(low=earlier[self.low], high=earlier[self.high])

    def last(self, rows: int) -> "Ranges":
        """The last events of each range.

        Args:
            rows: Number of events.
        """
        return Ranges(low=np.maximum(self.low, self.high - rows), high=self.high)
