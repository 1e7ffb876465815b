"""Rows in plain Python against a contract: what is said to keep it, keeps it as a table."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.contracts import (
    Allowed,
    Compare,
    Contract,
    ContractColumn,
    Freshness,
    Monotone,
    Nulls,
    Pattern,
    Range,
    RowCount,
    Rule,
    Unique,
    UnknownShare,
)
from features.contracts.row_contract import RowContract

NOW = datetime.now(UTC).replace(tzinfo=None)
NAMES = ("a", "b")
BOUNDS = st.sampled_from([0, 1.5, -3, "2024-05-01", "2024-05-01T10:00", "x"])
VALUES = st.sampled_from([("x", "2024-05-01"), (0, 1), (0, 1.5), (True,), (1.5,)])
CELLS = st.sampled_from(
    [None, 0, 1, 2, -4, 2**60, 0.0, 1.5, -0.5, float("inf"), float("nan"), True, "x", "xx", "", "0", "2024-05-01",
     "2024-05-01T10:00", "2024-05-01 10:00:00", "2024-05-01T10:00Z", NOW - timedelta(hours=1), NOW + timedelta(hours=1),
     NOW - timedelta(days=9)]
)  # fmt: skip


@st.composite
def rules(draw: st.DrawFn) -> list[Rule]:
    kinds: list[Rule] = []
    for index in range(draw(st.integers(1, 4))):
        column, name = draw(st.sampled_from(NAMES)), f"rule{index}"
        operator: Any = draw(st.sampled_from(["<", "<=", "==", "!="]))
        low, high = sorted((draw(st.integers(-4, 2)), draw(st.integers(-4, 2))))
        kinds.append(
            draw(
                st.sampled_from(
                    [
                        Range(name=name, column=column, min=draw(BOUNDS), min_excluded=draw(st.booleans())),
                        Range(name=name, column=column, min=low, max=high, max_excluded=draw(st.booleans())),
                        Allowed(name=name, column=column, values=draw(VALUES)),
                        UnknownShare(name=name, column=column, values=draw(VALUES), max_share=0.4),
                        Pattern(name=name, column=column, regex="x+"),
                        Compare(name=name, left="a", operator=operator, right="b"),
                        Nulls(name=name, column=column, max_share=draw(st.sampled_from([0.0, 0.5]))),
                        Freshness(name=name, column=column, max_age="2d"),
                        RowCount(name=name, min=0, max=2),
                        Unique(name=name, columns=(column,)),
                        Monotone(name=name, column=column),
                    ]
                )
            )
        )  # fmt: skip
    return kinds


@given(
    rules=rules(),
    types=st.tuples(*[st.sampled_from(["any", "int", "float", "bool", "str", "datetime", "date"])] * 2),
    required=st.booleans(),
    extra=st.sampled_from(["allow", "warn"]),
    cells=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=3),
    names=st.sampled_from([("a", "b"), ("a", "b"), ("b", "a"), ("a", "c")]),
)
@settings(max_examples=80, deadline=None)
def test_rows_that_keep_a_contract_keep_it_as_a_table(
    rules: list[Rule], types: tuple[Any, Any], required: bool, extra: Any, cells: list[Any], names: tuple[str, str]
) -> None:
    columns = {name: ContractColumn(type=kind, required=required) for name, kind in zip(NAMES, types, strict=True)}
    contract = Contract(columns=columns, rules=tuple(rules), extra_columns=extra)
    of_one_type = all(len({type(cell) for cell in column} - {type(None)}) <= 1 for column in zip(*cells, strict=True))
    rows = [dict(zip(names, row, strict=True)) for row in (cells if of_one_type else cells[:1])]
    if not RowContract(contract).keeps(rows):
        return
    table = pl.DataFrame({name: [row[name] for row in rows] for name in names})
    verdict, bad = contract.bad_rows(table, severities=("error", "quarantine"))
    assert not verdict.broken("error", "quarantine", "warn"), [
        one.describe() for one in verdict.broken("error", "warn")
    ]
    assert bad.is_empty()


@pytest.mark.parametrize(
    ("cell", "rule"),
    [
        (1.5, Range(column="a", min=0, max=2)),
        ("2024-05-01T10:00", Range(column="a", min="2024-01-01")),
        ("x", Allowed(column="a", values=("x", "y"))),
        ("xx", Pattern(column="a", regex="x+")),
        (3, Nulls(column="a")),
        (None, Range(column="a", min=0)),
        (1, RowCount(min=1)),
        (NOW - timedelta(hours=1), Freshness(column="a", max_age="2d")),
    ],
)
def test_plain_cells_need_no_table(cell: Any, rule: Rule) -> None:
    kind: Any = "datetime" if isinstance(rule, Range) and isinstance(rule.min, str) else "any"
    contract = Contract(columns={"a": ContractColumn(type=kind)}, rules=(rule,))
    assert RowContract(contract).keeps([{"a": cell}])
    assert not RowContract(contract).keeps([{"b": cell}])
