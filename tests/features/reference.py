"""Reference for features of history: one row at a time over plain lists, close to the wording of the definitions."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from features.definitions import Decayed, Definitions, HistoryFeature, Lag, Source, TimeSince, Where
from features.definitions.duration import microseconds

PRESENT, NEVER, EXPIRED, NOT_YET_AVAILABLE, MISSING = range(5)
Event = Mapping[str, Any]
COMPARE = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def history_of_row(
    definitions: Definitions, view: str, events: Sequence[Event], key: Mapping[str, Any], at: datetime
) -> dict[str, tuple[Any, int]]:
    """Values and reasons of the features of a view for one entity at a time.

    Args:
        definitions: The definitions.
        view: Name of the view.
        events: All rows of its source, in order of the table.
        key: Key columns of the entity.
        at: Time t.
    """
    content = definitions.views[view]
    source = definitions.sources[content.source or ""]
    history = content.history
    if None in key.values():
        return dict.fromkeys(history, (None, MISSING))
    own = visible(source, events, key, at)
    if not own:
        since = source.available or source.time
        later = [event for event in events if event[source.time] < at < event[since] and is_of(source, event, key)]
        reason = NOT_YET_AVAILABLE if later else NEVER
        empty = {name: value_of(feature, [], [], at)[0] for name, feature in history.items()}
        return {name: (value, PRESENT if value is not None else reason) for name, value in empty.items()}
    if content.ttl and at - own[-1][source.time] > length(content.ttl):
        return dict.fromkeys(history, (None, EXPIRED))
    return {name: feature_of(feature, source, own, at) for name, feature in history.items()}


def visible(source: Source, events: Sequence[Event], key: Mapping[str, Any], at: datetime) -> list[Event]:
    """Events that the entity's row at t sees, in order."""
    since = source.available or source.time
    known = [event for event in events if event[since] <= at]
    latest: dict[Any, Event] = {}
    for number, event in enumerate(known):
        names = tuple(event[name] for name in source.event_id)
        identity = names if names and None not in names else ("row", number)
        if identity not in latest or event[since] >= latest[identity][since]:
            latest[identity] = event
    mine = [event for event in known if any(event is one for one in latest.values())]
    mine = [event for event in mine if is_of(source, event, key) and event[source.time] < at]
    return sorted(mine, key=lambda event: (event[source.time], event[since]))


def is_of(source: Source, event: Event, key: Mapping[str, Any]) -> bool:
    """Whether an event is of an entity."""
    return all(event[source.keys.get(name, name)] == value for name, value in key.items())


def feature_of(feature: HistoryFeature, source: Source, own: list[Event], at: datetime) -> tuple[Any, int]:
    """Value and reason of a feature, given the visible events."""
    chosen = own
    where: Where | None = getattr(feature, "where", None)
    if offset := getattr(feature, "offset", None):
        chosen = [event for event in chosen if event[source.time] < at - length(offset)]
    if window := getattr(feature, "window", None):
        begin = at - length(window) - (length(offset) if offset else timedelta())
        chosen = [event for event in chosen if event[source.time] >= begin]
    if where is not None:
        cells = [(event, event[where.column]) for event in chosen]
        chosen = [event for event, cell in cells if cell is not None and COMPARE[where.op](cell, where.value)]
    if isinstance(feature, Lag):
        if len(chosen) < feature.rows:
            return None, EXPIRED
        value = chosen[-feature.rows][feature.column]
        return value, MISSING if value is None else PRESENT
    if rows := getattr(feature, "rows", None):
        chosen = chosen[-rows:]
    column = getattr(feature, "column", None)
    valued = [event for event in chosen if column is None or event[column] is not None]
    times = [event[source.time] for event in (chosen if isinstance(feature, TimeSince) else valued)]
    value, _ = value_of(feature, [event[column] if column else True for event in valued], times, at)
    if value is not None:
        return value, PRESENT
    return None, MISSING if chosen else EXPIRED


def value_of(feature: HistoryFeature, values: list[Any], times: list[datetime], at: datetime) -> tuple[Any, int]:
    """The function of a feature over values and the times of their events."""
    if isinstance(feature, Lag):
        return None, 0
    if isinstance(feature, TimeSince):
        edge = (times[0] if feature.event == "first" else times[-1]) if times else None
        return None if edge is None else (at - edge) / length(feature.per), 0
    if isinstance(feature, Decayed):
        weights = [0.5 ** ((at - time) / length(feature.half_life)) for time in times]
        weight, total = math.fsum(weights), math.fsum(w * v for w, v in zip(weights, values, strict=True))
        if feature.function == "count":
            return weight, 0
        return (None if not values else total if feature.function == "sum" else total / weight), 0
    if feature.function == "count":
        return len(values), 0
    if feature.function == "distinct":
        return len(set(values)), 0
    if not values:
        return None, 0
    if feature.function in ("first", "last"):
        return values[0 if feature.function == "first" else -1], 0
    if feature.function in ("min", "max"):
        return (min if feature.function == "min" else max)(values), 0
    exact = sum((Fraction(value) for value in values), Fraction(0))
    if feature.function == "sum":
        return float(exact), 0
    if feature.function == "mean":
        return float(exact / len(values)), 0
    if len(values) < 2:
        return None, 0
    squares = sum(((Fraction(value) - exact / len(values)) ** 2 for value in values), Fraction(0))
    return math.sqrt(squares / (len(values) - 1)), 0


def length(duration: str) -> timedelta:
    """A duration of the definitions."""
    return timedelta(microseconds=microseconds(duration))
