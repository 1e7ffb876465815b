"""Windows: ranges of events that features aggregate, for the rows of a chunk; shared ranges are computed once."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from features.batch.columns import Values
from features.batch.ranges import Histories, Ranges, count_before
from features.batch.visible import Visible
from features.definitions import Where
from features.definitions.duration import microseconds


@dataclass(kw_only=True)
class EventSubsets:
    """Events that meet a condition or have a value, of the same histories for many chunks.

    Attributes:
        conditions: Which rows of the table of events meet a condition, bool (n,).
        columns: Value columns.
    """

    conditions: Mapping[Where, np.ndarray]
    columns: Mapping[str, Values]
    _kept: dict[tuple[Where | None, str | None], tuple[Histories, np.ndarray | None]] = field(default_factory=dict)
    _of: Histories | None = None

    def of(self, histories: Histories, where: Where | None, column: str | None) -> tuple[Histories, np.ndarray | None]:
        """Some of the events, and how many before each position they are; None if they are all.

        Args:
            histories: All events.
            where: Condition; None for all.
            column: Column that must have a value; None for none.
        """
        if histories is not self._of:
            self._kept, self._of = {}, histories
        if column is not None and self.columns[column].is_complete:
            column = None
        if (where, column) not in self._kept:
            keep = None if where is None else self.conditions[where][histories.events]
            if column is not None:
                valid = self.columns[column].valid[histories.events]
                keep = valid if keep is None else keep & valid
            entry = (histories, None) if keep is None else (histories.only(keep), count_before(keep))
            self._kept[where, column] = entry
        return self._kept[where, column]


class Windows:
    """Ranges of events for the rows of a chunk.

    Args:
        seen: Rows and the events that they see.
        subsets: Cache of subsets of the events.
    """

    def __init__(self, seen: Visible, subsets: EventSubsets) -> None:
        self.seen, self._subsets = seen, subsets
        self._times: dict[tuple[str | None, str | None], Ranges] = {(None, None): seen.ranges}

    def events(
        self,
        *,
        where: Where | None,
        window: str | None = None,
        offset: str | None = None,
        rows: int | None = None,
        column: str | None = None,
    ) -> tuple[Histories, Ranges, np.ndarray]:
        """Events of a feature.

        Args:
            where: Condition.
            window: Length of time; None for all of the past.
            offset: How far the window is moved into the past.
            rows: The last so many events that meet the condition; None for all.
            column: Column that must have a value.

        Returns:
            The events, the range of each row among them, and the number of events of each row before those without a
            value are left out, int64 (m,).
        """
        ranges = self._window(window, offset)
        histories, earlier = self._subsets.of(self.seen.histories, where, None)
        if rows is None:
            count = ranges.count if earlier is None else ranges.among(earlier).count
            histories, earlier = self._subsets.of(self.seen.histories, where, column)
            return histories, ranges if earlier is None else ranges.among(earlier), count
        met = (ranges if earlier is None else ranges.among(earlier)).last(rows)
        if column is None:
            return histories, met, met.count
        # Among events that meet the condition, those with a value; both are counted from all events.
        valued, with_value = self._subsets.of(self.seen.histories, where, column)
        if valued is histories:
            return histories, met, met.count
        every = np.arange(len(self.seen.histories.times)) if earlier is None else np.flatnonzero(np.diff(earlier))
        at = np.concatenate([with_value[every], with_value[-1:]]) if with_value is not None else None
        return valued, met if at is None else met.among(at), met.count

    def _window(self, window: str | None, offset: str | None) -> Ranges:
        if (window, offset) not in self._times:
            end = self.seen.times - (microseconds(offset) if offset else 0)
            low, high = self.seen.ranges.low, self.seen.ranges.high
            if offset:
                high = np.clip(self.seen.histories.before(self.seen.codes, end), low, high)
            if window:
                begin = end - microseconds(window)
                low = np.clip(self.seen.histories.before(self.seen.codes, begin), low, high)
            self._times[window, offset] = Ranges(low=low, high=high)
        return self._times[window, offset]
