"""Online features: rows are answered as the training table answers them, and what cannot be answered is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.batch import fit, training_table
from features.definitions import Definitions
from features.online import OnlineFeatures, OnlineView

START = datetime(2024, 1, 1)
YAML: dict[str, Any] = {
    "entities": {"customer": {"keys": {"customer": "int"}}, "shop": {"keys": {"shop": "str"}}},
    "sources": {
        "sales": {
            "time": "time",
            "columns": {"amount": {"type": "float"}, "shop": {"type": "str"}, "due": {"type": "datetime"}},
        },
        "visits": {"time": "time", "keys": {"shop": "place"}, "columns": {"people": {"type": "int"}}},
    },
    "views": {
        "customer": {
            "entity": "customer",
            "source": "sales",
            "request": {"basket": {"type": "float"}},
            "features": {
                "spent": {"kind": "aggregate", "function": "sum", "column": "amount", "window": "7d"},
                "mean": {"kind": "aggregate", "function": "mean", "column": "amount"},
                "last_due": {"kind": "lag", "column": "due"},
                "ratio": {"kind": "arithmetic", "op": "/", "columns": ["basket", "mean"]},
                "scaled": {"kind": "scale", "column": "spent"},
                "until_due": {"kind": "elapsed", "since": "last_due"},
            },
        },
        "shop": {
            "entity": "shop",
            "source": "visits",
            "features": {
                "people": {"kind": "aggregate", "function": "sum", "column": "people", "window": "2d"},
                "mean": {"kind": "aggregate", "function": "mean", "column": "people", "rows": 3},
            },
        },
    },
}


@pytest.fixture(scope="module")
def definitions() -> Definitions:
    return Definitions.from_data(YAML)


def sales(zone: str | None = None) -> pl.DataFrame:
    times = [START + timedelta(hours=5 * i) for i in range(80)]
    return pl.DataFrame(
        {
            "time": times,
            "customer": [None if i % 11 == 0 else i % 5 for i in range(80)],
            "amount": [None if i % 7 == 0 else i / 3 for i in range(80)],
            "shop": ["a" if i % 2 else "b" for i in range(80)],
            "due": [time + timedelta(days=30) for time in times],
        }
    ).with_columns(pl.col("time", "due").dt.replace_time_zone(zone))


def visits() -> pl.DataFrame:
    times = [START + timedelta(hours=9 * i) for i in range(40)]
    return pl.DataFrame({"time": times, "place": ["a", "b"] * 20, "people": list(range(40))})


def rows(count: int = 8) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "customer": [0, 1, 2, 3, 4, 99, None, 1][:count],
            "shop": ["a", "b", "c", "a", "b", "a", "b", None][:count],
            "basket": [1.0, 2.0, 3.0, None, 5.0, 6.0, 7.0, 8.0][:count],
            "time": [START + timedelta(days=17 + i) for i in range(count)],
        }
    )


def test_rows_are_answered_as_the_training_table_answers_them(definitions: Definitions) -> None:
    tables = {"sales": sales(), "visits": visits()}
    fitted = fit(definitions, rows(), tables=tables)
    online = OnlineFeatures(definitions, fitted)
    online.update("sales", sales())
    for visit in visits().rows(named=True):
        online.update("visits", visit)
    expected = training_table(definitions, rows(), tables=tables, fitted=fitted, reasons=True)
    table = online.read_table(rows(), reasons=True)
    assert_frame_equal(table, expected, rel_tol=1e-9)
    for number, row in enumerate(rows().rows(named=True)):
        read = online.read(row, at=row["time"])
        wanted = table.row(number, named=True)
        assert read.values == {name: wanted[name] for name in read.values}
        assert read.reasons == {name: wanted[f"{name}__reason"] for name in read.reasons}
    few = online.read({"shop": "a"}, at=START + timedelta(days=20), features=["shop"])
    assert few.values.keys() == few.reasons.keys() == {"people", "mean"}
    assert any("8 rows have no key" in line for line in online.notes.lines())


def test_times_with_a_zone_come_back_with_it(definitions: Definitions) -> None:
    view = OnlineView("customer", definitions)
    view.update_table(sales("Europe/Berlin"))
    at = datetime(2024, 2, 1, tzinfo=UTC)
    values, _ = view.values((1,), at)
    due = values[view.features.index("last_due")]
    assert due == sales("Europe/Berlin").filter(pl.col("customer") == 1)["due"][-1]
    other = OnlineView("customer", definitions)
    other.load((1,), view.dump((1,)))
    assert other.values((1,), at)[0] == values
    with pytest.raises(ValueError, match="only the events of source 'sales' have a time zone"):
        other.values((1,), datetime(2024, 2, 1))
    with pytest.raises(ValueError, match="times with and without a zone"):
        other.update_table(sales())


def event(**cells: Any) -> dict[str, Any]:
    return {"time": START, "customer": 1, "amount": 2.0, "shop": "a", "due": None, **cells}


def test_cells_are_read_as_those_of_tables(definitions: Definitions) -> None:
    view = OnlineView("customer", definitions)
    assert view.update(event(customer="1.0", amount="2.5", time="2024-01-01T00:00:00", due="2024-02-01")) == (1,)
    assert view.update(event(amount=float("nan"))) == (1,)
    values, _ = view.values((1,), START + timedelta(days=1))
    assert dict(zip(view.features, values, strict=True)) == {"spent": 2.5, "mean": 2.5, "last_due": None}


def test_times_of_an_event_are_read_as_those_of_a_table() -> None:
    source = {
        "time": "day", "time_format": "%d/%m/%Y", "time_zone": "Europe/Berlin", "time_plus": {"hour": "1h"},
        "columns": {"hour": {"type": "int"}, "cnt": {"type": "int"}},
    }  # fmt: skip
    features = {"last": {"kind": "time_since", "per": "1h"}, "day": {"kind": "lag", "column": "cnt"}}
    data = {"sources": {"rides": source}, "views": {"rides": {"source": "rides", "features": features}}}
    table = pl.DataFrame({"day": ["30/03/2024", "31/03/2024"], "hour": [23, 12], "cnt": [1, 2]})
    one_by_one, whole = (OnlineView("rides", Definitions.from_data(data)) for _ in range(2))
    for row in table.rows(named=True):
        assert one_by_one.update(row) == ()
    whole.update_table(table)
    at = datetime(2024, 3, 31, 20, tzinfo=UTC)
    assert one_by_one.values((), at) == whole.values((), at) == ([10.0, 2], [0, 0])
    assert one_by_one.dump(()) == whole.dump(())


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"amount": "two"}, "source 'sales': column 'amount' holds 'two'.* declared as float"),
        ({"customer": 1.5}, "column 'customer' holds 1.5.* declared as int"),
        ({"time": "yesterday"}, "column 'time' holds 'yesterday'"),
    ],
)
def test_an_event_of_another_type_is_refused(definitions: Definitions, cells: dict[str, Any], message: str) -> None:
    online = OnlineFeatures(definitions)
    with pytest.raises(ValueError, match=message):
        online.update("sales", event(**cells))
    assert not online.views["customer"].entities()


def test_a_missing_column_is_named(definitions: Definitions) -> None:
    row = {name: cell for name, cell in event(amont=1.0).items() if name != "amount"}
    with pytest.raises(ValueError, match="the event has no column 'amount'; did you mean 'amont'"):
        OnlineFeatures(definitions).update("sales", row)


def test_a_table_is_no_row_and_a_column_of_it_is_not_overwritten(definitions: Definitions) -> None:
    online = OnlineFeatures(definitions)
    with pytest.raises(ValueError, match="one row is needed, cells by column; `read_table` takes a table"):
        online.read(rows(1), at=START)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'shop.mean' has the name of another column of the rows"):
        online.read_table(rows(1).with_columns(mean=1.0), features=["shop"])
    with pytest.raises(ValueError, match="a column 'mean__reason', the name of the reasons of 'shop.mean'"):
        online.read_table(rows(1).with_columns(mean__reason=1.0), features=["shop"], reasons=True)


def test_unknown_names_are_refused(definitions: Definitions) -> None:
    online = OnlineFeatures(definitions)
    with pytest.raises(ValueError, match="source 'sale' is not defined; did you mean 'sales'"):
        online.update("sale", event())
    with pytest.raises(ValueError, match="view 'custome' is not defined; did you mean 'customer'"):
        OnlineView("custome", definitions)
    with pytest.raises(ValueError, match="no key column 'customer'"):
        online.read({"custmer": 1}, at=START, features=["customer.spent"])
    with pytest.raises(ValueError, match="feature 'customer.spend' is not defined"):
        online.read({"customer": 1}, at=START, features=["customer.spend"])


def test_events_without_key_or_time_are_counted(definitions: Definitions) -> None:
    online = OnlineFeatures(definitions)
    online.update("sales", event(customer=None))
    online.update("sales", event(time=None))
    assert online.notes.lines() == ["source 'sales': 2 rows have no key or no time: left out of view 'customer'"]


def test_an_entity_never_seen_has_reasons(definitions: Definitions) -> None:
    read = OnlineFeatures(definitions).read({"customer": 7}, at=START, features=["customer.spent", "customer.mean"])
    assert read.values == {"spent": None, "mean": None}
    assert read.reasons == {"spent": "never", "mean": "never"}


def test_a_read_before_what_was_folded_is_refused_by_name(definitions: Definitions) -> None:
    online = OnlineFeatures(definitions)
    for day in range(30):
        online.update("sales", event(time=START + timedelta(days=day)))
    with pytest.raises(ValueError, match=r"view 'customer', entity \(1,\): read at 2024-01-05 .*until 2024-01-"):
        online.read({"customer": 1}, at=START + timedelta(days=4), features=["customer.spent"])


def test_a_state_of_another_layout_or_of_other_features_is_refused(definitions: Definitions) -> None:
    view = OnlineView("customer", definitions)
    view.update(event())
    content = view.dump((1,))
    with pytest.raises(ValueError, match="view 'customer': a state of layout 99, this version reads layout 1"):
        view.load((1,), content[:1] + b"\x63" + content[2:])
    changed = Definitions.from_data({**YAML, "views": {"customer": {**YAML["views"]["customer"], "ttl": "9d"}}})
    with pytest.raises(ValueError, match="view 'customer': a state of other features"):
        OnlineView("customer", changed).load((1,), content)
    with pytest.raises(ValueError, match="are no state of an entity"):
        view.load((1,), b"nothing")


def test_a_fitted_state_of_other_definitions_is_refused(definitions: Definitions) -> None:
    fitted = fit(definitions, rows(), tables={"sales": sales(), "visits": visits()})
    without = Definitions.from_data({**YAML, "description": "another"})
    with pytest.raises(ValueError, match="the fitted state belongs to definitions"):
        OnlineFeatures(without, fitted)


def test_the_same_event_twice_counts_once() -> None:
    data = {
        "entities": {"customer": {"keys": {"customer": "int"}}},
        "sources": {
            "sales": {
                "time": "time", "available": "known", "event_id": ["id"], "columns": {"amount": {"type": "float"}},
            }
        },
        "views": {
            "customer": {
                "entity": "customer",
                "source": "sales",
                "features": {
                    "count": {"kind": "aggregate", "function": "count"},
                    "spent": {"kind": "aggregate", "function": "sum", "column": "amount", "window": "7d"},
                },
            }
        },
    }  # fmt: skip
    view = OnlineView("customer", Definitions.from_data(data))
    row = {"time": START, "known": START, "id": "x", "customer": 1, "amount": 2.0}
    later = {**row, "known": START + timedelta(hours=2), "amount": 5.0}
    for one in (row, row, later, row, {**later, "amount": 6.0}):
        view.update(one)
    assert view.values((1,), START + timedelta(days=1))[0] == [1, 6.0]
    moved = {**later, "customer": 2, "known": START + timedelta(hours=3)}
    view.update(moved)
    assert view.values((1,), START + timedelta(days=1))[0] == [0, None]
    assert view.values((2,), START + timedelta(days=1))[0] == [1, 5.0]


def test_events_of_one_time_count_in_the_order_in_which_they_became_available() -> None:
    columns = {"n": {"type": "int"}}
    features = {
        f"{function}_{name}": {"kind": "aggregate", "function": function, "column": "n", **window}
        for function in ("first", "last")
        for name, window in (("of_all", {}), ("of_window", {"window": "7d"}))
    } | {"lag": {"kind": "lag", "column": "n"}}
    data = {
        "sources": {"log": {"time": "time", "available": "known", "columns": columns}},
        "views": {"log": {"source": "log", "features": features}},
    }
    view = OnlineView("log", Definitions.from_data(data))
    minutes = [5, 1, 3, 1, 9, 3, 9, 5, 9, 2]
    for count in range(len(minutes)):
        view.update({"time": START, "known": START + timedelta(minutes=minutes[count]), "n": count})
        so_far = sorted(range(count + 1), key=lambda number: minutes[number])
        values, _ = view.values((), START + timedelta(days=1))
        assert values == [so_far[0], so_far[0], so_far[-1], so_far[-1], so_far[-1]]
    assert values == [1, 1, 8, 8, 8]


def test_memory_is_bounded_by_the_windows() -> None:
    features = {
        "week": {"kind": "aggregate", "function": "sum", "column": "amount", "window": "7d"},
        "last": {"kind": "aggregate", "function": "mean", "column": "amount", "rows": 5},
        "rare": {
            "kind": "aggregate", "function": "count", "rows": 3,
            "where": {"column": "amount", "op": ">", "value": 900.0},
        },
        "all": {"kind": "aggregate", "function": "std", "column": "amount"},
        "decayed": {"kind": "decayed", "function": "mean", "column": "amount", "half_life": "1d"},
        "first": {"kind": "aggregate", "function": "first", "column": "amount"},
    }  # fmt: skip
    data = {**YAML, "views": {"customer": {**YAML["views"]["customer"], "features": features}}}
    view = OnlineView("customer", Definitions.from_data(data))
    sizes = []
    for number in range(20_000):
        view.update(event(time=START + timedelta(hours=number), amount=float(number % 997)))
        if number % 500 == 499:
            sizes.append(len(view.dump((1,))))
    assert max(sizes[-10:]) < 1.3 * max(sizes[5:15])
    assert max(sizes) < 20_000  # a week has 168 events, and a buffer twice that many
