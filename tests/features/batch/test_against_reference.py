"""Batch features of history equal a slow reference, whatever the definition, the events and the rows."""

import math
from datetime import timedelta
from typing import Any, Literal, get_args

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.batch import Reason, history_at
from features.definitions import (
    Aggregate,
    Column,
    Decayed,
    Definitions,
    Entity,
    FeatureView,
    HistoryFeature,
    Lag,
    Source,
    TimeSince,
    Where,
)
from features.definitions.duration import microseconds
from features.definitions.history import Function
from features.sources import Notes, read_source
from tests.features.batch.reference import Event, reference
from tests.features.random_histories import COLUMNS, START

_SECONDS = st.integers(0, 12)
_LENGTHS = st.sampled_from(["1s", "2s", "3s", "5s", "30s"])
_EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "key": st.integers(1, 3) | st.none(),
            "when": _SECONDS,
            "late": st.sampled_from([0, 0, 0, 1, 4]),
            "id": st.integers(1, 5) | st.none(),
            "x": st.sampled_from([None, 0.1, 0.2, 1e9, -3.5, 2.0]),
            "n": st.sampled_from([None, 0, 1, 2, -7]),
            "s": st.sampled_from([None, "a", "b", "é"]),
            "b": st.sampled_from([None, True, False]),
        }
    ),
    max_size=14,
)
_ROWS = st.lists(st.tuples(st.integers(1, 4) | st.none(), st.integers(0, 20)), min_size=1, max_size=6)
_WHERE = st.none() | st.sampled_from(
    [
        Where(column="n", op=">", value=0),
        Where(column="x", op="<=", value=0.2),
        Where(column="s", op="!=", value="a"),
        Where(column="b", op="==", value=True),
    ]
)


@st.composite
def _aggregates(draw: st.DrawFn) -> Aggregate:
    function: Function = draw(st.sampled_from(get_args(Function)))
    columns = ["x", "n", "b"] if function in ("sum", "mean", "std") else [*COLUMNS]
    column = draw(st.sampled_from(columns if function != "count" else [None, *columns]))
    over = draw(st.sampled_from(["all", "window", "rows"]))
    return Aggregate(
        function=function,
        column=column,
        window=draw(_LENGTHS) if over == "window" else None,
        rows=draw(st.integers(1, 4)) if over == "rows" else None,
        offset=draw(st.none() | _LENGTHS),
        where=draw(_WHERE),
    )


@st.composite
def _decays(draw: st.DrawFn) -> Decayed:
    function: Literal["count", "sum", "mean"] = draw(st.sampled_from(["count", "sum", "mean"]))
    column = draw(st.sampled_from(["x", "n"] if function != "count" else ["x", None]))
    return Decayed(function=function, column=column, half_life=draw(_LENGTHS), where=draw(_WHERE))


_FEATURES = st.lists(
    st.one_of(
        _aggregates(),
        _decays(),
        st.builds(Lag, column=st.sampled_from([*COLUMNS]), rows=st.integers(1, 4)),
        st.builds(TimeSince, event=st.sampled_from(["first", "last"]), per=_LENGTHS, where=_WHERE),
    ),
    min_size=1,
    max_size=4,
)
_SOURCES = st.sampled_from(
    [{}, {"available": "known"}, {"available": "known", "event_id": ("id",)}, {"event_id": ("id",)}]
)


def _definitions(
    features: list[HistoryFeature], source: dict[str, Any], *, entity: bool, ttl: str | None
) -> Definitions:
    return Definitions(
        entities={"e": Entity(keys={"key": "int"})},
        sources={
            "log": Source(time="when", columns={name: Column(type=kind) for name, kind in COLUMNS.items()}, **source)
        },
        views={
            "v": FeatureView(
                source="log",
                entity="e" if entity else None,
                ttl=ttl,
                features={f"f{number}": feature for number, feature in enumerate(features)},
            )
        },
    )


def _events(events: list[dict[str, Any]]) -> pl.DataFrame:
    rows = [
        {
            **{name: event[name] for name in ("key", "id", *COLUMNS)},
            "when": START + timedelta(seconds=event["when"]),
            "known": START + timedelta(seconds=event["when"] + event["late"]),
        }
        for event in events
    ]
    schema = {"key": pl.Int64, "id": pl.Int64, "x": pl.Float64, "n": pl.Int64, "s": pl.String, "b": pl.Boolean}
    return pl.DataFrame(rows, schema={**schema, "when": pl.Datetime("us"), "known": pl.Datetime("us")})


def _compute(definitions: Definitions, events: pl.DataFrame, rows: list[tuple[int | None, int]]) -> pl.DataFrame:
    view = definitions.views["v"]
    keys = {"key": "int"} if view.entity else {}
    log = read_source(definitions.sources["log"], name="log", keys=keys, notes=Notes(), table=events)
    asked = pl.DataFrame(
        {"key": [key for key, _ in rows], "__time": [START + timedelta(seconds=second) for _, second in rows]},
        schema={"key": pl.Int64, "__time": pl.Datetime("us")},
    )
    return history_at("v", definitions, log, asked)


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float | int):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-12)
    return bool(left == right) and (left is None) == (right is None)


def _equal_the_reference(
    features: list[HistoryFeature],
    source: dict[str, Any],
    entity: bool,
    ttl: str | None,
    events: list[dict[str, Any]],
    rows: list[tuple[int | None, int]],
) -> None:
    definitions = _definitions(features, source, entity=entity, ttl=ttl)
    computed = _compute(definitions, _events(events), rows)
    plain = [
        Event(
            entity=event["key"] if entity else 0,
            time=event["when"] * 1_000_000,
            available=(event["when"] + (event["late"] if "available" in source else 0)) * 1_000_000,
            event_id=event["id"] if "event_id" in source else None,
            values=event,
        )
        for event in events
        if event["key"] is not None or not entity
    ]
    length = None if ttl is None else microseconds(ttl)
    for number, feature in enumerate(features):
        for row, (key, second) in enumerate(rows):
            value, reason = reference(feature, plain, key if entity else 0, second * 1_000_000, length)
            got = computed[f"v.f{number}"][row], computed[f"v.f{number}__reason"][row]
            assert _same(got[0], value), (feature, row, got, (value, Reason(reason)))
            assert got[1] == reason, (feature, row, got, (value, Reason(reason)))


_CASES = given(
    features=_FEATURES, source=_SOURCES, entity=st.booleans(), ttl=st.none() | _LENGTHS, events=_EVENTS, rows=_ROWS
)


def _many(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])


test_values_and_reasons_equal_the_reference = _many(100)(_CASES(_equal_the_reference))
test_values_and_reasons_equal_the_reference_often = pytest.mark.slow(_many(3000)(_CASES(_equal_the_reference)))
