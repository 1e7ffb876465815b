"""Reading of a state: the values of a view's features at a time, and why some are missing."""

from bisect import bisect_left
from itertools import compress
from typing import Any

from features.batch.reasons import Reason
from features.online.accumulators import Accumulator, Counter, Distinct, First, Smallest, Spread, Sum
from features.online.decay import DecayedSum
from features.online.entity_state import EntityState
from features.online.event import moment_of
from features.online.plan import Selection, Step, ViewPlan
from features.online.reductions import REDUCE

Answer = tuple[list[Any], list[int]]
"""Values of the features in the order of the view, and their reasons."""


def read_state(plan: ViewPlan, state: EntityState | None, at: int) -> Answer:
    """Values and reasons of all features of history of a view; datetimes in microseconds.

    Args:
        plan: The view.
        state: State of the entity; None if it was never seen.
        at: Time t, in microseconds.

    Raises:
        ValueError: The state holds events folded after t.
    """
    if state is None:
        return _without_events(plan, Reason.NEVER)
    if state.horizon is not None and at < state.horizon:
        raise ValueError(
            f"read at {moment_of(at)}, but the state has folded all until {moment_of(state.horizon)}: read then "
            "or later, or take the batch form"
        )
    end = bisect_left(state.times, at)
    if state.available and state.clock is not None and at < state.clock:
        seen = _visible(plan, state, at, end)
        waiting = len(seen.times) < end
        state, end = seen, len(seen.times)
    else:
        waiting = False
    newest = state.times[end - 1] if end else None
    if state.newest_dropped is not None and (newest is None or newest < state.newest_dropped):
        newest = state.newest_dropped
    if newest is None:
        return _without_events(plan, Reason.NOT_YET_AVAILABLE if waiting else Reason.NEVER)
    if plan.ttl is not None and at - newest > plan.ttl:
        return [None] * len(plan.steps), [Reason.EXPIRED] * len(plan.steps)
    selected = [_select(one, state, at, end) for one in plan.selections]
    kept = [_accumulated(plan, index, state, at, end) for index in range(len(plan.unbounded))]
    values: list[Any] = []
    reasons: list[int] = []
    for step in plan.steps:
        if step.selection is not None:
            cells, any_event = selected[step.selection]
            value = REDUCE[step.function](cells)
        elif step.accumulator is not None:
            accumulator = kept[step.accumulator]
            value, any_event = _result(step, accumulator, at), accumulator.any_event
        else:
            any_event = end >= step.rows
            value = state.columns[step.column][end - step.rows] if any_event else None  # type: ignore[index]
        if value is None:
            reasons.append(Reason.MISSING if any_event else Reason.EXPIRED)
        else:
            reasons.append(Reason.PRESENT)
        values.append(value)
    return values, reasons


_COUNTS = {"count": 0, "distinct": 0, "decayed_count": 0.0}


def _without_events(plan: ViewPlan, reason: Reason) -> Answer:
    empty = [_COUNTS.get(step.function) for step in plan.steps]
    return empty, [reason if value is None else Reason.PRESENT for value in empty]


def _visible(plan: ViewPlan, state: EntityState, at: int, end: int) -> EntityState:
    """The state restricted to the events that were available at a time."""
    known = [available <= at for available in state.available[:end]]
    seen = EntityState(plan)
    seen.times = list(compress(state.times, known))
    seen.available = list(compress(state.available, known))
    seen.columns = [list(compress(values, known)) for values in state.columns]
    seen.masks = [list(compress(values, known)) for values in state.masks]
    seen.accumulators = state.accumulators
    seen.folded_before, seen.newest_dropped = state.folded_before, state.newest_dropped
    return seen


def _select(one: Selection, state: EntityState, at: int, end: int) -> tuple[list[Any], bool]:
    """Values of the events of a selection, without nulls, and whether there is any event."""
    if one.offset:
        end = bisect_left(state.times, at - one.offset, 0, end)
    mask = state.masks[one.where] if one.where is not None else None
    if one.window is not None:
        begin = bisect_left(state.times, at - one.offset - one.window, 0, end)
    else:
        begin = _begin_of_rows(mask, one.rows or 0, end)
    if one.column is None:
        cells: list[Any] = [True] * (end - begin if mask is None else sum(mask[begin:end]))
        return cells, bool(cells)
    cells = state.columns[one.column][begin:end]
    if mask is not None:
        cells = list(compress(cells, mask[begin:end]))
    any_event = bool(cells)
    if None in cells:
        cells = [cell for cell in cells if cell is not None]
    return cells, any_event


def _begin_of_rows(mask: list[bool] | None, rows: int, end: int) -> int:
    if mask is None:
        return max(0, end - rows)
    for i in range(end - 1, -1, -1):
        if mask[i]:
            rows -= 1
            if not rows:
                return i
    return 0


def _accumulated(plan: ViewPlan, index: int, state: EntityState, at: int, end: int) -> Accumulator:
    one = plan.unbounded[index]
    begin = 0 if state.folded_before is None else bisect_left(state.times, state.folded_before)
    if one.offset:
        end = bisect_left(state.times, at - one.offset, 0, end)
    return state.accumulators[index].with_events(state.events(plan, index, begin, end))


def _result(step: Step, kept: Accumulator, at: int) -> Any:
    if isinstance(kept, DecayedSum):
        if step.function == "decayed_mean":
            return kept.total / kept.weight if kept.weight else None
        if kept.reference is None:
            return 0.0 if step.function == "decayed_count" else None
        return kept.at(kept.weight if step.function == "decayed_count" else kept.total, at)
    if step.function == "time_since":
        return (at - kept.time) / step.per if isinstance(kept, First) and kept.any_event else None
    if isinstance(kept, Counter):
        return kept.count
    if isinstance(kept, Sum):
        return _total(step, kept)
    if isinstance(kept, Spread):
        return kept.deviation()
    if isinstance(kept, Distinct):
        return len(kept.values)
    assert isinstance(kept, Smallest | First)
    return kept.value


def _total(step: Step, kept: Sum) -> int | float | None:
    if not kept.count:
        return None
    if step.function == "mean":
        return kept.total.divided_by(kept.count)
    return kept.total.numerator if step.is_whole else kept.total.divided_by(1)
