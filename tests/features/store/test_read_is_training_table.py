"""What a store answers at a time is what the training table holds at it, whatever the definition and the events."""

from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.batch import REASONS, training_table
from features.sources import Notes
from features.store import OnlineStore, ViewReader, materialize, open_store
from tests.features.random_histories import COLUMNS, START, History, histories

KEYS = ["a", "b", "unseen"]
TYPES = {"int": pl.Int64, "float": pl.Float64, "bool": pl.Boolean, "str": pl.String}
_NAMES = count()


def table(history: History, rows: list[dict[str, Any]]) -> pl.DataFrame:
    schema: dict[str, Any] = {"key": pl.String, "time": pl.Datetime("us")}
    schema |= {name: TYPES[kind] for name, kind in COLUMNS.items()}
    if history.source.available:
        schema["available"] = pl.Datetime("us")
    if history.source.event_id:
        schema["id"] = pl.Int64
    return pl.DataFrame(rows, schema=schema, orient="row")


def check(history: History, store: OnlineStore, namespace: str, known: pl.DataFrame, at: datetime) -> bool:
    """Compares values and reasons of all entities; False where `at` is too early for the store."""
    content = history.definitions.views["v"]
    keys = KEYS if content.entity else ["a"]
    reader = ViewReader(history.definitions, store, "v", namespace=namespace)
    try:
        answer = reader.read([[key] for key in keys] if content.entity else [[]], at=at)
    except ValueError as error:
        if "is before" not in str(error):
            raise
        return False
    rows = pl.DataFrame({"key": keys})
    expected = training_table(history.definitions, rows, at=at, tables={"events": known}, reasons=True, notes=Notes())
    for place, _ in enumerate(keys):
        for index, name in enumerate(content.history):
            value, reason = answer.values[place][index], answer.reasons[place][index]
            why = (keys[place], name, content.history[name], at)
            assert REASONS.categories[reason] == expected[f"{name}__reason"][place], why
            wanted = expected[name][place]
            if isinstance(wanted, float):
                assert value == pytest.approx(wanted, rel=1e-9, abs=1e-9), why
            else:
                assert value == wanted, why
                assert type(value) is type(wanted), why
    return True


def moments(data: st.DataObject) -> list[datetime]:
    return [START + timedelta(seconds=data.draw(st.integers(-600, 24_000))) for _ in range(4)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> OnlineStore:
    return open_store(tmp_path_factory.mktemp("store") / "store.db")


LIGHT = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
THOROUGH = settings(LIGHT, max_examples=500)


def replay(store: OnlineStore, history: History, data: st.DataObject) -> None:
    """Events arrive in three parts, each materialized; the last part corrects nothing but the end."""
    namespace = f"n{next(_NAMES)}"
    cuts = sorted(data.draw(st.integers(0, len(history.rows))) for _ in range(2))
    for cut in (*cuts, len(history.rows)):
        known = table(history, history.rows[:cut])
        list(materialize(history.definitions, store, tables={"events": known}, namespace=namespace))
        for at in moments(data):
            check(history, store, namespace, known, at)
    (again,) = materialize(history.definitions, store, tables={"events": known}, namespace=namespace)
    assert (again.written, again.removed) == (0, 0)


def until(store: OnlineStore, history: History, data: st.DataObject) -> None:
    namespace = f"n{next(_NAMES)}"
    everything = table(history, history.rows)
    for end in sorted(moments(data)):
        list(materialize(history.definitions, store, tables={"events": everything}, until=end, namespace=namespace))
        known = everything.filter(pl.col("available" if history.source.available else "time") <= end)
        for at in (end, *moments(data)):
            check(history, store, namespace, known, at)


@LIGHT
@given(history=histories(), data=st.data())
def test_events_arrive_in_parts_in_any_order(store: OnlineStore, history: History, data: st.DataObject) -> None:
    replay(store, history, data)


@LIGHT
@given(history=histories(), data=st.data())
def test_events_are_used_as_they_become_available(store: OnlineStore, history: History, data: st.DataObject) -> None:
    until(store, history, data)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@THOROUGH
@given(history=histories(most_events=60), data=st.data())
def test_events_arrive_in_parts_in_any_order_thoroughly(
    store: OnlineStore, history: History, data: st.DataObject
) -> None:
    replay(store, history, data)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@THOROUGH
@given(history=histories(most_events=60), data=st.data())
def test_events_are_used_as_they_become_available_thoroughly(
    store: OnlineStore, history: History, data: st.DataObject
) -> None:
    until(store, history, data)


def test_reads_right_after_the_last_event_are_answered(store: OnlineStore, tmp_path: Path) -> None:
    """The comparison above is not empty."""
    from features.definitions import Aggregate, Column, Definitions, Entity, FeatureView, Lag, Source

    definitions = Definitions(
        entities={"key": Entity(keys={"key": "str"})},
        sources={"events": Source(time="time", columns={name: Column(type=kind) for name, kind in COLUMNS.items()})},
        views={
            "v": FeatureView(
                source="events",
                entity="key",
                ttl="30m",
                features={
                    "n10": Aggregate(function="count", window="10m"),
                    "s": Lag(column="s"),
                    "x20": Aggregate(function="sum", column="x", window="20m"),
                },
            )
        },
    )
    rows = [
        {"key": "a", "time": START + timedelta(minutes=minute), "x": float(minute), "n": 1, "s": str(minute), "b": True}
        for minute in (0, 5, 9)
    ]
    history = History(definitions, rows)
    list(materialize(definitions, store, tables={"events": table(history, rows)}, namespace="filled"))
    minutes = [9.001, 9.9, 10, 10.001, 14, 15, 15.1, 18.9, 19, 19.1, 25.1, 29.1, 38.9, 39, 39.1]
    asked = [START + timedelta(minutes=minute) for minute in minutes]
    assert all(check(history, store, "filled", table(history, rows), at) for at in asked)
    reader = ViewReader(definitions, store, "v", namespace="filled")
    counts = [reader.read([["a"]], at=at).values[0][0] for at in asked]
    assert counts == [3, 3, 3, 2, 2, 2, 1, 1, 1, 0, 0, 0, 0, 0, None]
