"""Online view: equal to the reference after every event, whatever arrives late or is corrected."""

import math
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from features.definitions.duration import microseconds
from features.online import OnlineView
from tests.features.batch.reference import Event, reference
from tests.features.random_histories import KEYS, START, History, histories


def answer(view: OnlineView, key: str, at: datetime) -> dict[str, tuple[Any, int]]:
    values, reasons = view.values((key,) if view.plan.entity else (), at)
    return dict(zip(view.features, zip(values, map(int, reasons), strict=True), strict=True))


def expected(history: History, rows: list[dict[str, Any]], key: str, at: datetime) -> dict[str, tuple[Any, int]]:
    view, source = history.definitions.views["v"], history.source
    events = [
        Event(
            entity=KEYS.index(row["key"]) if view.entity else 0,
            time=since_start(row["time"]),
            available=since_start(row[source.available or "time"]),
            event_id=row["id"] if source.event_id else None,
            values=row,
        )
        for row in rows
    ]
    entity, ttl = KEYS.index(key) if view.entity else 0, microseconds(view.ttl) if view.ttl else None
    return {name: reference(feature, events, entity, since_start(at), ttl) for name, feature in view.history.items()}


def since_start(time: datetime) -> int:
    return (time - START) // timedelta(microseconds=1)


def assert_equal(one: dict[str, tuple[Any, int]], other: dict[str, tuple[Any, int]]) -> None:
    assert one.keys() == other.keys()
    for name, (value, reason) in one.items():
        wanted, wanted_reason = other[name]
        if isinstance(wanted, float) and value is not None:
            assert math.isclose(value, wanted, rel_tol=1e-9, abs_tol=1e-9), (name, value, wanted)
        else:
            assert value == wanted, (name, value, wanted)
        assert reason == wanted_reason, (name, reason, wanted_reason)


@settings(max_examples=150, deadline=None)
@given(history=histories(), data=st.data())
def test_after_every_event_the_values_are_those_of_the_reference(history: History, data: st.DataObject) -> None:
    in_order = history.source.event_id and not OnlineView("v", history.definitions).plan.keeps_all
    since = history.source.available or "time"
    rows = sorted(history.rows, key=lambda row: row[since]) if in_order else history.rows
    view = OnlineView("v", history.definitions)
    clock = START
    for count, row in enumerate(rows, start=1):
        view.update(row)
        clock = max(clock, row[since])
        if data.draw(st.integers(0, 3)) == 0:
            for one in view.entities():
                view.load(one, view.dump(one))
        at = clock + timedelta(minutes=data.draw(st.integers(0, 70)))
        key = data.draw(st.sampled_from(KEYS))
        assert_equal(answer(view, key, at), expected(history, rows[:count], key, at))


@settings(max_examples=100, deadline=None)
@given(history=histories(in_order=True), key=st.sampled_from(KEYS), minute=st.integers(-20, 400))
def test_a_read_of_the_past_is_right_or_refused(history: History, key: str, minute: int) -> None:
    view = OnlineView("v", history.definitions)
    for row in history.rows:
        view.update(row)
    at = START + timedelta(minutes=minute)
    try:
        values = answer(view, key, at)
    except ValueError as error:
        assert "has folded" in str(error)  # noqa: PT017
        return
    assert_equal(values, expected(history, history.rows, key, at))
