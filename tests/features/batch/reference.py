"""Slow reference of features of history: one row, one feature, one event after another, as the definitions read."""

import math
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from features.definitions import Aggregate, Decayed, HistoryFeature, Lag, TimeSince, Where
from features.definitions.duration import microseconds

PRESENT, NEVER, EXPIRED, NOT_YET, MISSING = range(5)


class Event(NamedTuple):
    """A row of the source, times in microseconds."""

    entity: int
    time: int
    available: int
    event_id: int | None
    values: dict[str, Any]


def reference(
    feature: HistoryFeature, events: Sequence[Event], entity: int | None, t: int, ttl: int | None
) -> tuple[Any, int]:
    """Value and reason code of a feature at time t."""
    if entity is None:
        return None, MISSING
    versions = [event for event in events if event.available <= t]
    newest: dict[int, Event] = {}
    for event in versions:
        if event.event_id is not None and (
            event.event_id not in newest or event.available >= newest[event.event_id].available
        ):
            newest[event.event_id] = event
    current = [event for event in versions if event.event_id is None or newest[event.event_id] is event]
    seen = sorted(
        (event for event in current if event.entity == entity and event.time < t),
        key=lambda event: (event.time, event.available),
    )
    if not seen:
        none = NOT_YET if any(e.entity == entity and e.time < t and e.available > t for e in events) else NEVER
    else:
        none = EXPIRED
        if ttl is not None and t - seen[-1].time > ttl:
            return None, EXPIRED
    where: Where | None = getattr(feature, "where", None)
    met = [event for event in seen if where is None or _meets(event.values[where.column], where)]
    if isinstance(feature, Lag):
        if len(met) < feature.rows:
            return None, none
        value = met[-feature.rows].values[feature.column]
        return value, MISSING if value is None else PRESENT
    if isinstance(feature, TimeSince):
        if not met:
            return None, none
        return (t - (met[0] if feature.event == "first" else met[-1]).time) / microseconds(feature.per), PRESENT
    if isinstance(feature, Decayed):
        return _decayed(feature, met, t, none)
    end = t - (microseconds(feature.offset) if feature.offset else 0)
    met = [event for event in met if event.time < end]
    if feature.window:
        met = [event for event in met if event.time >= end - microseconds(feature.window)]
    if feature.rows:
        met = met[-feature.rows :]
    return _aggregate(feature, met, none)


def _aggregate(feature: Aggregate, events: list[Event], none: int) -> tuple[Any, int]:
    if feature.column is None:
        return len(events), PRESENT
    values = [value for event in events if (value := event.values[feature.column]) is not None]
    if feature.function == "count":
        return len(values), PRESENT
    if feature.function == "distinct":
        return len(set(values)), PRESENT
    if not values or (feature.function == "std" and len(values) < 2):
        return None, MISSING if events else none
    answers = {
        "sum": lambda: math.fsum(values),
        "mean": lambda: math.fsum(values) / len(values),
        "std": lambda: statistics.stdev(float(value) for value in values),
        "min": lambda: min(values),
        "max": lambda: max(values),
        "first": lambda: values[0],
        "last": lambda: values[-1],
    }
    return answers[feature.function](), PRESENT


def _decayed(feature: Decayed, events: list[Event], t: int, none: int) -> tuple[Any, int]:
    half_life = microseconds(feature.half_life)
    pairs = [
        (0.5 ** ((t - event.time) / half_life), 1 if feature.column is None else event.values[feature.column])
        for event in events
    ]
    pairs = [(weight, value) for weight, value in pairs if value is not None]
    weights = math.fsum(weight for weight, _ in pairs)
    if feature.function == "count":
        return weights, PRESENT
    if not pairs:
        return None, MISSING if events else none
    total = math.fsum(weight * value for weight, value in pairs)
    return (total if feature.function == "sum" else total / weights), PRESENT


def _meets(value: Any, where: Where) -> bool:
    if value is None:
        return False
    return {
        "==": value == where.value,
        "!=": value != where.value,
        "<": value < where.value,
        "<=": value <= where.value,
        ">": value > where.value,
        ">=": value >= where.value,
    }[where.op]
