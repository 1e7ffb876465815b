"""Training tables: every row kept in order, labels, names of columns, and what is said about bad input."""

import logging
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from features.batch import training_table
from features.definitions import (
    Aggregate,
    Column,
    Definitions,
    Entity,
    Feature,
    FeatureView,
    FutureAggregate,
    Given,
    Label,
    LabelColumn,
    Lag,
    Source,
    TimeSince,
)
from features.sources import Notes


def _day(day: int, hour: int = 0) -> datetime:
    return datetime(2024, 1, day, hour)


EVENTS = pl.DataFrame(
    {
        "user": ["a", "a", "b", "a"],
        "when": [_day(1), _day(3), _day(4), _day(10)],
        "x": [1.0, 2.0, None, 4.0],
    }
)
ROWS = pl.DataFrame(
    {
        "user": ["b", "a", "new", None, "a", "a"],
        "time": [_day(5), _day(3), _day(5), _day(5), _day(3), None],
        "weight": [1, 2, 3, 4, 5, 6],
    }
)
FEATURES: dict[str, Feature] = {
    "last": Lag(column="x"),
    "total": Aggregate(function="sum", column="x", window="3650d"),
    "events": Aggregate(function="count"),
}


def _definitions(
    features: dict[str, Feature] | None = None, labels: dict[str, Label] | None = None, **view: Any
) -> Definitions:
    return Definitions(
        entities={"user": Entity(keys={"user": "str"})},
        sources={"log": Source(time="when", columns={"x": Column(type="float")})},
        views={"past": FeatureView(source="log", entity="user", features=features or FEATURES, **view)},
        labels=labels or {},
    )


def _table(definitions: Definitions | None = None, rows: pl.DataFrame = ROWS, **arguments: Any) -> pl.DataFrame:
    return training_table(definitions or _definitions(), rows, **{"tables": {"log": EVENTS}, **arguments})


def test_every_row_is_kept_in_order_with_a_reason_for_what_is_missing() -> None:
    notes = Notes()
    table = _table(reasons=True, notes=notes)
    assert table.select(ROWS.columns).equals(ROWS)
    assert table["last"].to_list() == [None, 1.0, None, None, 1.0, None]
    assert table["last__reason"].to_list() == ["missing", "present", "never", "missing", "present", "missing"]
    assert table["total"].to_list() == [None, 1.0, None, None, 1.0, None]
    assert table["events"].to_list() == [1, 1, 0, None, 1, None]
    assert table["events__reason"].to_list() == ["present", "present", "present", "missing", "present", "missing"]
    assert notes.lines() == [
        "rows: 1 rows have no 'time': kept, their features of history are missing",
        "rows: 1 rows have no 'user': kept, their features of history are missing",
    ]


def test_one_time_for_all_rows_and_what_is_too_old() -> None:
    table = _table(_definitions(ttl="5d"), at=_day(9), reasons=True)
    assert table["last"].to_list() == [None] * 6
    assert table["last__reason"].to_list() == ["missing", "expired", "never", "missing", "expired", "expired"]
    assert _table(_definitions(ttl="6d"), at=_day(9))["last"].to_list() == [None, 2.0, None, None, 2.0, 2.0]


def test_what_was_left_out_is_logged_unless_notes_take_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="features"):
        _table(notes=Notes())
        assert not caplog.messages
        _table()
    assert "rows: 1 rows have no 'user': kept, their features of history are missing" in caplog.messages


def test_features_of_the_same_name_are_told_apart_by_their_views() -> None:
    one = FeatureView(source="log", entity="user", features={"n": Aggregate(function="count")})
    definitions = Definitions(
        entities={"user": Entity(keys={"user": "str"})},
        sources={"log": Source(time="when", columns={})},
        views={"one": one, "two": FeatureView(source="log", entity="user", features={"n": TimeSince()})},
    )
    assert _table(definitions).columns == [*ROWS.columns, "one__n", "two__n"]
    assert _table(definitions, features=["two"]).columns == [*ROWS.columns, "n"]


@pytest.mark.parametrize(
    ("function", "values"),
    [
        ("count", [0, 1, 0, None, 1, None]),
        ("sum", [0.0, 2.0, 0.0, None, 2.0, None]),
        ("max", [None, 2.0, None, None, 2.0, None]),
    ],
)
def test_labels_of_the_future(function: Any, values: list[Any]) -> None:
    label = FutureAggregate(
        source="log", entity="user", function=function, column="x" if function != "count" else None, window="5d"
    )
    assert _table(_definitions(labels={"y": label}), labels=["y"])["y"].to_list() == values


def test_a_label_whose_window_is_not_over_is_missing() -> None:
    label = FutureAggregate(source="log", entity="user", function="count", window="6d")
    rows = pl.DataFrame({"user": ["a", "a"], "time": [_day(4), _day(4, 1)]})
    notes = Notes()
    table = _table(_definitions(labels={"y": label}), rows, labels=["y"], notes=notes)
    assert table["y"].to_list() == [0, None]
    assert any("have a label 'y' whose window ends after" in line for line in notes.lines())


def test_a_window_longer_than_history_and_an_empty_history_are_no_errors() -> None:
    empty = _table(tables={"log": EVENTS.clear()}, reasons=True)
    assert empty["last__reason"].to_list() == ["never", "never", "never", "missing", "never", "missing"]
    assert empty["events"].to_list() == [0, 0, 0, None, 0, None]
    assert _table(rows=ROWS.clear()).height == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": ["past.lst"]}, "feature 'past.lst' is not defined; did you mean 'past.last'?"),
        ({"at": "tine"}, "at: the rows have no column 'tine'; did you mean 'time'?"),
        ({"at": "weight"}, "rows: column 'weight' is Int64, a datetime is needed"),
        ({"rows": ROWS.drop("user")}, "entity 'user': the rows have no key column 'user'"),
        ({"rows": ROWS.with_columns(user=pl.lit(1.5))}, "rows: key 'user' is Float64; its type is declared as str"),
        ({"rows": ROWS.with_columns(last=1)}, "feature 'past.last' has the name of another column of the rows"),
        ({"rows": ROWS.with_columns(last__reason=1), "reasons": True}, "a column 'last__reason', the name of the rea"),
        ({"tables": {"logs": EVENTS}}, "tables: 'logs' is no source; did you mean 'log'?"),
        ({"tables": {}}, "source 'log' has no column 'when'"),
        ({"at": datetime(2024, 1, 1, tzinfo=UTC)}, "views.past: only the times of the rows have a time zone"),
        ({"labels": ["z"]}, "label 'z' is not defined"),
        ({"train": [True]}, "train: one truth value for each of 6 rows is needed, 1 Boolean given"),
    ],
)
def test_messages(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:
        _table(**arguments)
    assert message in str(error.value)


def test_a_column_as_given_takes_the_place_of_the_column() -> None:
    view = FeatureView(features={"weight": Given(column="weight")}, request={"weight": Column(type="float")})
    definitions = Definitions(views={"own": view}, labels={"y": LabelColumn(column="user")})
    table = training_table(definitions, ROWS, labels=["y"])
    assert table.columns == ["user", "time", "weight", "y"]
    assert table.schema["weight"] == pl.Float64


def test_two_views_of_a_source_count_its_rows_once() -> None:
    view = FeatureView(source="log", entity="user", features=FEATURES)
    definitions = Definitions(
        entities={"user": Entity(keys={"user": "str"})},
        sources={"log": Source(time="when", columns={"x": Column(type="float")})},
        views={"one": view, "two": view},
    )
    notes = Notes()
    _table(definitions, tables={"log": pl.concat([EVENTS, EVENTS.with_columns(user=None)])}, notes=notes)
    assert "source 'log': 4 rows have no key: they belong to nobody and are left out" in notes.lines()
    assert "rows: 1 rows have no 'user': kept, their features of history are missing" in notes.lines()


def test_the_end_of_a_source_is_read_in_its_zone() -> None:
    label = FutureAggregate(source="log", entity="user", function="count", window="1d")
    definitions = Definitions(
        entities={"user": Entity(keys={"user": "str"})},
        sources={
            "log": Source(time="when", time_zone="Asia/Tokyo", columns={"x": Column(type="float")}, until=_day(12))
        },
        views={"past": FeatureView(source="log", entity="user", features=FEATURES)},
        labels={"y": label},
    )
    rows = pl.DataFrame({"user": ["a", "a"], "time": [_day(10, 15), _day(10, 16)]})
    rows = rows.with_columns(pl.col("time").dt.replace_time_zone("UTC"))
    assert _table(definitions, rows, labels=["y"])["y"].to_list() == [0, None]
    with pytest.raises(ValueError, match="source 'log': until .* has a time zone"):
        _table(
            Definitions(
                entities=definitions.entities,
                sources={
                    "log": Source(time="when", columns={"x": Column(type="float")}, until=_day(12).replace(tzinfo=UTC))
                },
                views={"past": FeatureView(source="log", entity="user", features={"n": Aggregate(function="count")})},
                labels=definitions.labels,
            ),
            ROWS,
            labels=["y"],
        )
