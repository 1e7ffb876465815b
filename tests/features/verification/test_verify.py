"""Verification: online equals batch on real and random events, and what differs is found and said."""

from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings

from benchmarks.measure import ROOT
from features.definitions import Aggregate, Calendar, Column, Definitions, Entity, FeatureView, Lag, Source
from features.definitions.view import Feature
from features.sources import Notes
from features.verification import verify
from features.verification.compare import compare
from features.verification.view_history import ViewHistory
from tests.conftest import DATA, needs
from tests.features.random_histories import COLUMNS, History, histories

_TYPES = {"float": pl.Float64, "int": pl.Int64, "str": pl.String, "bool": pl.Boolean}


def table_of(history: History) -> pl.DataFrame:
    schema: dict[str, Any] = {"key": pl.String, "time": pl.Datetime("us")}
    schema |= {name: _TYPES[kind] for name, kind in COLUMNS.items()}
    schema |= {"available": pl.Datetime("us")} if history.source.available else {}
    schema |= {"id": pl.Int64} if history.source.event_id else {}
    return pl.DataFrame(history.rows, schema=schema)


def assert_holds(history: History) -> None:
    report = verify(history.definitions, tables={"events": table_of(history)}, futures=2)
    assert report.holds, report.to_text()


_ANY = given(history=histories(in_order=True))
_QUICK = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
_LONG = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
test_random_features_hold = _QUICK(_ANY(assert_holds))
test_random_features_hold_often = pytest.mark.slow(_LONG(_ANY(assert_holds)))


@pytest.fixture
def definitions() -> Definitions:
    source = Source(time="time", columns={"amount": Column(type="float")}, available="known")
    features: dict[str, Feature] = {
        "spent": Aggregate(function="sum", column="amount", window="3h"),
        "last": Lag(column="amount"),
    }
    return Definitions(
        entities={"customer": Entity(keys={"customer": "int"})},
        sources={"sales": source},
        views={"spending": FeatureView(source="sales", entity="customer", features=features)},
    )


@pytest.fixture
def sales() -> pl.DataFrame:
    times = [datetime(2024, 1, 1) + timedelta(minutes=20 * i) for i in range(60)]
    known = [time + timedelta(minutes=30 * (i % 3)) for i, time in enumerate(times)]
    return pl.DataFrame(
        {"time": times, "known": known, "customer": [i % 4 for i in range(60)], "amount": [i / 7 for i in range(60)]}
    )


def test_a_report_says_what_was_compared(definitions: Definitions, sales: pl.DataFrame) -> None:
    sales = sales.with_columns(customer=pl.col("customer").replace(3, None))
    text = verify(definitions, tables={"sales": sales}).to_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "spending: 45 events replayed one by one" in text
    assert "spending.spent" in text
    assert "15 rows have no key" in text
    assert text.endswith("online equals batch within 1e-09, and no feature sees the future")


def test_a_difference_is_counted_and_shown(definitions: Definitions, sales: pl.DataFrame) -> None:
    history = ViewHistory("spending", definitions, sales, notes=Notes())
    reads = [(event.key, event.time) for event in history.events[-8:]]
    other = history.with_other_future(history.events[30].time, seed=0).batch(reads)
    found = compare(history.batch(reads), other, "spending.spent", tolerance=1e-9)
    assert found.count > 0
    assert found.row is not None
    assert found.largest > 1e-3


def test_the_future_of_a_time_does_not_reach_before_it(definitions: Definitions, sales: pl.DataFrame) -> None:
    history = ViewHistory("spending", definitions, sales, notes=Notes())
    cut = history.events[30].time
    other = history.with_other_future(cut, seed=0)
    before = [event for event in history.events if max(event.time + 1, event.available) <= cut]
    assert [event for event in other.events if max(event.time + 1, event.available) <= cut] == before
    assert other.events != history.events


def test_views_without_history_cannot_be_replayed() -> None:
    only = Definitions(views={"clock": FeatureView(features={"hour": Calendar(part="hour")})})
    with pytest.raises(ValueError, match="no features of history|nothing to replay"):
        verify(only)


def test_a_source_without_rows_is_named(definitions: Definitions) -> None:
    with pytest.raises(ValueError, match="source 'sales' has no path"):
        verify(definitions)


@pytest.mark.slow
@needs("online_retail/online-retail.csv.gz")
def test_features_of_online_retail_hold() -> None:
    definitions = Definitions.load(ROOT / "benchmarks" / "programs" / "online_retail.yaml")
    lines = pl.read_csv(DATA / "online_retail" / "online-retail.csv.gz", infer_schema=False, n_rows=60_000)
    report = verify(definitions, tables={"sales": lines})
    assert report.holds, report.to_text()
    assert {check.rows for check in report.checks} == {lines["CustomerID"].count(), lines.height}
