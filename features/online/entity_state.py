"""Entity state: the recent events of one entity in order, and accumulators of those that left."""

from bisect import bisect_left, bisect_right
from typing import Any

from features.online.accumulators import Accumulator, Folded, Value
from features.online.plan import ViewPlan

_ARRIVALS_PER_SETTLEMENT = 8
EventId = tuple[Value, ...]


class EntityState:
    """State of one entity in a view. Times are in microseconds.

    An event is folded into the accumulators once no read at `clock` or later can fail to see it, and leaves the buffer
    once no window, no count of rows and no lag reaches it; from then on reads before `horizon` are impossible.

    Attributes:
        clock: Latest time at which an arrived event became available.
        horizon: Earliest time at which the state can be read.
        folded_before: Events of earlier event time are in the accumulators; None if none is.
        newest_dropped: Latest event time of those that left the buffer.
        times: Event times, ascending.
        available: Available times; empty if the source has no such column.
        columns: Values, a list per stored column.
        masks: Whether the event meets each condition.
        ids: Event identifiers, None for an event that nothing corrects; empty if the source has none.
        accumulators: One per unbounded quantity of the plan.
        arrivals: Events since the last settlement.
        dropped_ids: Identifiers of events that left the buffer, for the owner of the state to take note of and clear.
        limit: Size of the buffer from which last rows are counted anew.
    """

    __slots__ = (
        "_time_of_id",
        "accumulators",
        "arrivals",
        "available",
        "clock",
        "columns",
        "dropped_ids",
        "folded_before",
        "horizon",
        "ids",
        "limit",
        "masks",
        "newest_dropped",
        "times",
    )

    def __init__(self, plan: ViewPlan) -> None:
        self.clock: int | None = None
        self.horizon: int | None = None
        self.folded_before: int | None = None
        self.newest_dropped: int | None = None
        self.times: list[int] = []
        self.available: list[int] = []
        self.columns: list[list[Value | None]] = [[] for _ in plan.columns]
        self.masks: list[list[bool]] = [[] for _ in plan.conditions]
        self.ids: list[EventId | None] = []
        self.accumulators: list[Accumulator] = plan.accumulators()
        self.arrivals = 0
        self.limit = 16
        self.dropped_ids: list[EventId] = []
        self._time_of_id: dict[EventId, int] | None = None

    def insert(
        self,
        plan: ViewPlan,
        *,
        time: int,
        available: int,
        values: list[Value | None],
        masks: list[bool],
        event_id: EventId | None,
    ) -> None:
        """Adds an event, or the correction of one, wherever in the past it belongs."""
        if self.clock is None or available > self.clock:
            self.clock = available
        if event_id is not None and not self.supersede(event_id, available):
            return
        position = len(self.times)
        if position and time <= self.times[-1]:
            position = bisect_right(self.times, time)
            if self.available:
                while position and self.times[position - 1] == time and self.available[position - 1] > available:
                    position -= 1
        self.times.insert(position, time)
        if plan.source.available is not None:
            self.available.insert(position, available)
        for column, value in zip(self.columns, values, strict=True):
            column.insert(position, value)
        for mask, met in zip(self.masks, masks, strict=True):
            mask.insert(position, met)
        if plan.source.event_id:
            if event_id is not None:
                self._index()[event_id] = time
            self.ids.insert(position, event_id)
        if self.folded_before is not None and time < self.folded_before:
            self._fold(plan, position, position + 1)
        self.arrivals += 1
        if self.arrivals >= _ARRIVALS_PER_SETTLEMENT and not plan.keeps_all:
            self.arrivals = 0
            self._settle(plan)

    def events(self, plan: ViewPlan, kept: int, begin: int, end: int) -> list[Folded]:
        """Events of the buffer as an accumulator takes them."""
        one = plan.unbounded[kept]
        available = self.available or self.times
        column = self.columns[one.column] if one.column is not None else None
        mask = self.masks[one.where] if one.where is not None else None
        return [
            (self.times[i], available[i], True if column is None else column[i])
            for i in range(begin, end)
            if mask is None or mask[i]
        ]

    def _index(self) -> dict[EventId, int]:
        if self._time_of_id is None:
            self._time_of_id = {one: time for one, time in zip(self.ids, self.times, strict=True) if one is not None}
        return self._time_of_id

    def supersede(self, event_id: EventId, available: int) -> bool:
        """Removes the version of an event that one of the given availability corrects.

        Args:
            event_id: The event.
            available: Time at which the new version became available.

        Returns:
            False if a version that became available later is here already, so that the new one counts for nothing.
        """
        time = self._index().get(event_id)
        if time is None:
            return True
        at = self.ids.index(event_id, bisect_left(self.times, time))
        known = self.available[at] if self.available else time
        self.horizon = self._latest(self.horizon, max(known, available))
        if available < known:
            return False
        for values in self._lists():
            del values[at]
        del self._index()[event_id]
        return True

    def _settle(self, plan: ViewPlan) -> None:
        if self.clock is None:
            return
        if self.accumulators:
            begin = 0 if self.folded_before is None else bisect_left(self.times, self.folded_before)
            end = bisect_left(self.times, self.clock - plan.offset)
            if end > begin:
                self._fold(plan, begin, end)
                self.folded_before = self.clock - plan.offset
        cut = bisect_left(self.times, self.clock - plan.retention)
        if not plan.last_rows:
            if cut:
                self._drop(range(cut))
        elif len(self.times) > self.limit:
            still_read = self._last_rows(plan, cut)
            self._drop([i for i in range(cut) if i not in still_read])
            self.limit = 2 * len(self.times) + 16

    def _last_rows(self, plan: ViewPlan, cut: int) -> set[int]:
        """Events before the cut that a count of rows or a lag reaches at the clock."""
        reached: set[int] = set()
        assert self.clock is not None
        for where, rows, offset in plan.last_rows:
            mask = self.masks[where] if where is not None else None
            missing = rows
            for i in range(bisect_left(self.times, self.clock - offset) - 1, -1, -1):
                if mask is None or mask[i]:
                    reached.add(i)
                    missing -= 1
                    if not missing:
                        break
        return {i for i in reached if i < cut}

    def _fold(self, plan: ViewPlan, begin: int, end: int) -> None:
        for kept, accumulator in enumerate(self.accumulators):
            for time, available, value in self.events(plan, kept, begin, end):
                accumulator.add(time, available, value)
        self.horizon = self._latest(self.horizon, self.clock)

    def _drop(self, positions: "range | list[int]") -> None:
        if not positions:
            return
        self.newest_dropped = self._latest(self.newest_dropped, self.times[positions[-1]])
        self.horizon = self._latest(self.horizon, self.clock)
        for at in positions if self.ids else ():
            if (event_id := self.ids[at]) is not None:
                del self._index()[event_id]
                self.dropped_ids.append(event_id)
        if isinstance(positions, range):
            for values in self._lists():
                del values[: len(positions)]
        else:
            gone = set(positions)
            for values in self._lists():
                values[:] = [value for i, value in enumerate(values) if i not in gone]

    def _lists(self) -> list[list[Any]]:
        lists: list[list[Any]] = [self.times, self.available, *self.columns, *self.masks, self.ids]
        return [one for one in lists if one]

    @staticmethod
    def _latest(one: int | None, other: int | None) -> int | None:
        return other if one is None else one if other is None else max(one, other)
