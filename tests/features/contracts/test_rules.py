"""Rules of data contracts: what each says of good, missing, NaN, infinite and absent values."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from features.contracts import Contract, Verdict

NAN, INF = float("nan"), float("inf")
NOW = datetime(2024, 1, 10, tzinfo=UTC)


def contract(*rules: dict[str, Any], **keys: Any) -> Contract:
    return Contract.from_data({"rules": list(rules), **keys})


def verdict(rule: dict[str, Any], **columns: Any) -> Verdict:
    """Verdict on a table in memory; that on the same table as a stream is equal."""
    table = pl.DataFrame(columns, strict=False)
    found = contract(rule).check(table, now=NOW)
    assert contract(rule).check(table.lazy(), now=NOW) == found or NAN in [*map(str, table.rows())]
    return found


def bad(rule: dict[str, Any], values: Any) -> list[int]:
    """Rows of a column `x` that break a rule of severity `quarantine`."""
    table = pl.DataFrame({"x": values}, strict=False)
    own = contract({**rule, "severity": "quarantine"}, max_quarantined=1)
    good, quarantined, found = own.split(table)
    assert found.passed
    assert len(good) + len(quarantined) == len(table)
    assert not own.check(good).broken()  # what is left keeps the rule
    streamed, rows = own.bad_rows(table.lazy())
    assert rows["row"].to_list() == quarantined["row"].to_list()
    assert [one.row for one in streamed.results] == [one.row for one in found.results]
    return quarantined["row"].to_list()


RANGE = {"kind": "range", "column": "x", "min": 0, "max": 10}
MONOTONE = {"kind": "monotone", "column": "x"}


@pytest.mark.parametrize(
    ("rule", "values", "rows"),
    [
        (RANGE, [0, 10, -1, 11, None], [2, 3]),
        (RANGE, [0.0, NAN, INF, -INF, None, 10.5], [2, 3, 5]),
        ({"kind": "range", "column": "x", "min": 0}, [1.0, INF, NAN], [1]),
        ({**RANGE, "min_excluded": True, "max_excluded": True}, [0, 1, 10], [0, 2]),
        ({"kind": "range", "column": "x", "max": 255}, pl.Series([1, 2], dtype=pl.UInt8), []),
        ({"kind": "range", "column": "x", "min": -5}, pl.Series([1, 2], dtype=pl.UInt64), []),
        ({"kind": "range", "column": "x", "min": "2024-01-02"}, [date(2024, 1, 1), date(2024, 1, 2)], [0]),
        ({"kind": "range", "column": "x", "max": "2024-01-02T12:00"}, [datetime(2024, 1, 2, 12, 1)], [0]),
        (RANGE, pl.Series(["1.5", "11"]).cast(pl.Decimal(10, 2)), [1]),
        ({"kind": "nulls", "column": "x"}, [1.0, NAN, None, INF], [1, 2]),
        ({"kind": "nulls", "column": "x"}, ["", None], [1]),
        ({"kind": "unique", "columns": ["x"]}, [1, 2, 1, None, None, 1], [2, 5]),
        ({"kind": "unique", "columns": ["x"]}, [NAN, NAN, 1.0, 1.0], [3]),
        ({"kind": "allowed", "column": "x", "values": ["a", "b"]}, ["a", "c", None, "A"], [1, 3]),
        ({"kind": "allowed", "column": "x", "values": ["a"]}, pl.Series(["a", "c"], dtype=pl.Categorical), [1]),
        ({"kind": "allowed", "column": "x", "values": [1, 300]}, pl.Series([1, 44], dtype=pl.UInt8), [1]),
        ({"kind": "allowed", "column": "x", "values": [1, 2.5]}, [1.0, NAN, INF, 2.5, 2.0], [2, 4]),
        ({"kind": "allowed", "column": "x", "values": [True]}, [True, False, None], [1]),
        ({"kind": "pattern", "column": "x", "regex": "[A-Z]{2}|x"}, ["AB", "ABC", "x", None, "AB\n", ""], [1, 4, 5]),
        (MONOTONE, [1, 5, 2, 3, None, 5, 6], [2, 3]),
        (MONOTONE, [1.0, NAN, 0.5, 2.0], [2]),
        ({**MONOTONE, "strict": True}, [1, 1, 2], [1]),
        (RANGE, [None, None], []),
        (MONOTONE, [None, None], []),
        ({"kind": "pattern", "column": "x", "regex": "a"}, [None], []),
    ],
)  # fmt: skip
def test_rows_that_break_a_rule(rule: dict[str, Any], values: Any, rows: list[int]) -> None:
    assert bad(rule, values) == rows


EVERY_RULE = [
    RANGE, MONOTONE, {"kind": "unique", "columns": ["x"]}, {"kind": "nulls", "column": "x"},
    {"kind": "nulls", "column": "x", "max_share": 0.5}, {"kind": "allowed", "column": "x", "values": [1]},
    {"kind": "unknown_share", "column": "x", "values": [1], "max_share": 0.0},
    {"kind": "compare", "left": "x", "operator": "<", "right": "x"}, {"kind": "row_count", "min": 0},
]  # fmt: skip


@pytest.mark.parametrize("rule", EVERY_RULE, ids=lambda rule: str(rule["kind"]))
def test_an_empty_table_keeps_every_rule_but_those_on_its_size_and_age(rule: dict[str, Any]) -> None:
    assert verdict(rule, x=pl.Series([], dtype=pl.Int64)).passed


def test_an_empty_table_has_too_few_rows_and_is_not_fresh() -> None:
    times = pl.Series([], dtype=pl.Datetime("us"))
    assert not verdict({"kind": "row_count"}, x=times).passed
    assert (
        "no row has a x" in verdict({"kind": "freshness", "column": "x", "max_age": "1d"}, x=times).results[-1].message
    )


def test_shares_count_nan_as_missing_and_no_missing_value_as_unknown() -> None:
    nulls = {"kind": "nulls", "column": "x", "max_share": 0.5}
    assert verdict(nulls, x=[1.0, NAN, None, 2.0]).passed
    assert "3 of 4 values are missing, 75.00%" in verdict(nulls, x=[1.0, NAN, None, NAN]).results[-1].message
    unknown = {"kind": "unknown_share", "column": "x", "values": ["a", "b"], "max_share": 0.5}
    assert verdict(unknown, x=["a", "c", None, None]).passed
    assert (
        "2 of 3 values are not in the vocabulary (such as 'c')"
        in verdict(unknown, x=["a", "c", "d"]).results[-1].message
    )
    assert verdict(unknown, x=[None, None]).passed


def test_uniqueness_of_several_columns() -> None:
    rule = {"kind": "unique", "columns": ["a", "b"]}
    found = verdict(rule, a=[1, 1, 1, None, None], b=["x", "y", "x", "x", "x"]).results[-1]
    assert (found.num_rows, found.row, found.example) == (1, 2, {"a": 1, "b": "x"})


def test_time_runs_forward_within_each_entity() -> None:
    rule = {"kind": "monotone", "column": "t", "by": ["id"]}
    assert verdict(rule, id=["a", "b", "a", "b"], t=[5, 1, 6, 2]).passed
    assert verdict(rule, id=["a", "b", "a", "b"], t=[5, 1, 4, 2]).results[-1].row == 2
    assert verdict(rule, id=[None, "b", None], t=[5, 1, 4]).results[-1].row == 2  # a missing entity is one of its own


@pytest.mark.parametrize(
    ("operator", "row"), [("<", 1), ("<=", 2), ("==", 0), ("!=", 1), (">=", 0), (">", 0)]
)  # fmt: skip
def test_columns_are_compared_where_neither_is_missing(operator: str, row: int) -> None:
    rule = {"kind": "compare", "left": "a", "operator": operator, "right": "b"}
    table = {"a": [1.0, 2.0, 3.0, NAN, None, 1.0], "b": [2, 2, 2, 2, 2, None]}
    assert verdict(rule, **table).results[-1].row == row


def test_freshness_measures_the_newest_row_that_is_not_in_the_future() -> None:
    rule = {"kind": "freshness", "column": "x", "max_age": "36h"}
    assert verdict(rule, x=[datetime(2024, 1, 9), datetime(2030, 1, 1)]).passed
    assert "3.0 days old" in verdict(rule, x=[datetime(2024, 1, 7), datetime(2030, 1, 1)]).results[-1].message
    assert not verdict(rule, x=[datetime(2030, 1, 1)]).passed
    assert verdict(rule, x=[date(2024, 1, 9)]).passed
    zoned = pl.Series([datetime(2024, 1, 8, 12, tzinfo=UTC)]).dt.convert_time_zone("Asia/Tokyo")
    assert verdict(rule, x=zoned).passed
    late = [datetime(2024, 1, 8, 20, 30)]  # 11:30 in UTC if it is Tokyo's clock
    assert verdict(rule, x=late).passed
    assert not verdict({**rule, "time_zone": "Asia/Tokyo"}, x=late).passed


def test_the_two_bounds_of_a_row_count() -> None:
    rule = {"kind": "row_count", "min": 2, "max": 3}
    assert [verdict(rule, x=range(count)).passed for count in (1, 2, 3, 4)] == [False, True, True, False]


def test_an_example_has_the_key_of_its_row() -> None:
    table = pl.DataFrame({"id": ["a", "b"], "x": [1, 99]})
    found = contract(RANGE, key=["id"]).check(table).results[-1]
    assert found.describe() == "range(x): 1 row not from 0 to 10; first: row 1: id = 'b', x = 99"


@pytest.mark.parametrize(
    ("rule", "values", "message"),
    [
        (RANGE, ["1", "2"], "holds String, the bound 0 is for numbers; declare its type below columns"),
        ({"kind": "range", "column": "x", "min": "2024"}, [1], "holds Int64, the bound '2024' is for dates"),
        ({"kind": "range", "column": "x", "min": "yesterday"}, [date(2024, 1, 1)], "'yesterday' is not a date"),
        ({"kind": "range", "column": "x", "min": "2024-01-01"}, [datetime(2024, 1, 1, tzinfo=UTC)], "state its offset"),
        ({"kind": "allowed", "column": "x", "values": ["1"]}, [1], "holds Int64, the values are str"),
        ({"kind": "allowed", "column": "x", "values": [1]}, [True], "holds Boolean, the values are int"),
        ({"kind": "pattern", "column": "x", "regex": "1"}, [1], "a pattern needs text"),
        (MONOTONE, ["a"], "numbers or times are needed"),
        ({"kind": "freshness", "column": "x", "max_age": "1d"}, ["2024-01-01"], "needs dates or timestamps"),
        ({"kind": "compare", "left": "x", "operator": "<", "right": "t"}, [1], "they cannot be compared"),
    ],
)  # fmt: skip
def test_a_rule_that_does_not_fit_its_column_is_broken(rule: dict[str, Any], values: Any, message: str) -> None:
    found = verdict({**rule, "severity": "warn"}, x=values, t=[datetime(2024, 1, 1)] * len(values))
    assert not found.passed
    assert message in found.results[-1].message
