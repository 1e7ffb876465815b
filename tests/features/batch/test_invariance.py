"""What must not change features: the order of events and rows, and whatever was not known at the time of a row."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from features.batch import training_table
from features.definitions import (
    Aggregate,
    Column,
    Decayed,
    Definitions,
    Entity,
    Feature,
    FeatureView,
    Lag,
    Source,
    TimeSince,
)
from features.definitions.history import Function

START = datetime(2024, 1, 1)
FUNCTIONS: tuple[Function, ...] = ("count", "sum", "mean", "std", "min", "max", "first", "last", "distinct")
FEATURES: dict[str, Feature] = {
    **{f"{one}_all": Aggregate(function=one, column="x") for one in FUNCTIONS},
    **{f"{one}_window": Aggregate(function=one, column="x", window="4s", offset="1s") for one in FUNCTIONS},
    **{f"{one}_rows": Aggregate(function=one, column="x", rows=2) for one in FUNCTIONS},
    "lag": Lag(column="x", rows=2),
    "since": TimeSince(per="1s"),
    "decayed": Decayed(function="sum", column="x", half_life="3s"),
}
DEFINITIONS = Definitions(
    entities={"user": Entity(keys={"key": "int"})},
    sources={
        "log": Source(time="when", available="known", event_id=("id",), columns={"x": Column(type="float")}),
    },
    views={"v": FeatureView(source="log", entity="user", ttl="15s", features=FEATURES)},
)
EVENT = st.fixed_dictionaries(
    {
        "key": st.integers(1, 3),
        "when": st.integers(0, 20),
        "late": st.integers(0, 5),
        "id": st.integers(1, 8) | st.none(),
        "x": st.sampled_from([None, 0.1, 0.25, 1e9, -3.5]),
    }
)
ROWS = st.lists(st.tuples(st.integers(1, 4) | st.none(), st.integers(0, 25)), min_size=1, max_size=8)
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _table(events: Sequence[dict[str, Any]], rows: Sequence[tuple[int | None, int]]) -> pl.DataFrame:
    log = pl.DataFrame(
        [
            {
                "key": event["key"],
                "id": event["id"],
                "x": event["x"],
                "when": START + timedelta(seconds=event["when"]),
                "known": START + timedelta(seconds=event["when"] + event["late"]),
            }
            for event in events
        ],
        schema={
            "key": pl.Int64, "id": pl.Int64, "x": pl.Float64, "when": pl.Datetime("us"), "known": pl.Datetime("us"),
        },
    )  # fmt: skip
    asked = pl.DataFrame(
        {"key": [key for key, _ in rows], "time": [START + timedelta(seconds=at) for _, at in rows]},
        schema={"key": pl.Int64, "time": pl.Datetime("us")},
    )
    return training_table(DEFINITIONS, asked, tables={"log": log}, reasons=True)


@FEW
@given(events=st.lists(EVENT, max_size=12), rows=ROWS, data=st.data())
def test_the_order_of_events_and_rows_does_not_matter(
    events: list[dict[str, Any]], rows: list[tuple[int | None, int]], data: st.DataObject
) -> None:
    # Of events with equal clocks the order of the table counts: only the first is kept here.
    unique = list({(event["when"], event["when"] + event["late"]): event for event in events}.values())
    by_id = list(
        {(event["id"], event["when"] + event["late"]) if event["id"] else id(event): event for event in unique}.values()
    )
    table = _table(by_id, rows)
    order = data.draw(st.permutations(range(len(rows))))
    shuffled = _table(data.draw(st.permutations(by_id)), [rows[place] for place in order])
    assert_frame_equal(shuffled, table[list(order)], rel_tol=1e-12, abs_tol=1e-12)


@FEW
@given(events=st.lists(EVENT, max_size=12), more=st.lists(EVENT, max_size=6), rows=ROWS)
def test_what_was_not_known_yet_changes_no_value(
    events: list[dict[str, Any]], more: list[dict[str, Any]], rows: list[tuple[int | None, int]]
) -> None:
    for row in rows:
        later = [event for event in more if event["when"] + event["late"] > row[1]]
        future = [{**event, "id": None} for event in more if event["when"] >= row[1]]
        values = [_table(log, [row]).select(list(FEATURES)) for log in (events, events + later + future)]
        assert_frame_equal(*values)


@FEW
@given(events=st.lists(EVENT, max_size=12), rows=ROWS)
def test_many_rows_are_the_rows_one_by_one(events: list[dict[str, Any]], rows: list[tuple[int | None, int]]) -> None:
    one_by_one = pl.concat([_table(events, [row]) for row in rows])
    assert_frame_equal(_table(events, rows), one_by_one, rel_tol=1e-12, abs_tol=1e-12)


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [
        {"key": place % 3, "when": place * 7 % 40, "late": place % 4, "id": place % 11, "x": float(place)}
        for place in range(60)
    ]
    rows = [(place % 4, place * 5 % 50) for place in range(50)]
    whole = _table(events, rows)
    monkeypatch.setattr("features.batch.visible.COPIES_PER_CHUNK", 5)
    monkeypatch.setattr("features.batch.visible.ROWS_PER_CHUNK", 3)
    assert_frame_equal(_table(events, rows), whole)
