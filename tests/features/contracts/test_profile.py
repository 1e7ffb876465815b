"""Profiles and the contracts drafted from them: the table they come from keeps them, and small damage does not."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.contracts import Contract
from features.contracts.files.strict_yaml import parse_yaml
from features.contracts.files.table_file import scan_table
from features.contracts.profile import draft_contract, profile_table


def rentals(rows: int = 480) -> pl.DataFrame:
    """Two stations by the hour, as a table of rentals."""
    rng = np.random.default_rng(0)
    hours = np.arange(rows) // 2
    return pl.DataFrame(
        {
            "id": np.arange(1, rows + 1),
            "code": [f"R{number:05d}-{'XY'[number % 2]}" for number in rng.permutation(rows)],
            "station": ["north", "south"] * (rows // 2),
            "time": [datetime(2024, 1, 1) + timedelta(hours=int(hour)) for hour in hours],
            "day": [f"{1 + hour // 10:02d}/01/2024" for hour in hours],
            "count": rng.poisson(6, rows),
            "temperature": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(15, 5, rows)),
            "zip": ["01067" if number % 3 else "80331" for number in range(rows)],
        }
    )


def drafted(table: pl.DataFrame | pl.LazyFrame, **options: Any) -> Contract:
    text = draft_contract(profile_table(table, **options), name="own", table="t")
    return Contract.from_data(parse_yaml(text, name="draft")[0])


def test_a_contract_drafted_from_a_csv_file_names_what_the_table_shows(tmp_path: Path) -> None:
    file = tmp_path / "rentals.csv"
    rentals().with_columns(pl.col("temperature").fill_nan(None)).write_csv(file)
    table = scan_table(file)
    contract = drafted(table, parse_text=True)
    assert not contract.check(table).broken()
    types = {name: (one.type, one.time_format) for name, one in contract.columns.items()}
    assert types == {
        "id": ("int", None), "code": ("str", None), "station": ("str", None), "time": ("datetime", None),
        "day": ("date", "%d/%m/%Y"), "count": ("int", None), "temperature": ("float", None), "zip": ("str", None),
    }  # fmt: skip
    rules = {rule.title: rule for rule in contract.rules}
    assert rules["allowed(station)"].values == ("north", "south")  # type: ignore[attr-defined]
    assert rules["pattern(code)"].regex == r"\p{Lu}[0-9]{5}\-\p{Lu}"  # type: ignore[attr-defined]
    assert {"unique(id)", "unique(code)", "unique(station, time)", "monotone(time)", "allowed(zip)"} <= set(rules)
    assert rules["range(count)"].min == 0  # type: ignore[attr-defined]  # counts are not negative
    assert 0.1 < rules["nulls(temperature)"].max_share < 0.25  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        (pl.col("count") - 500, "range(count)"),
        (pl.col("station").replace("north", "Nord"), "allowed(station)"),
        (pl.col("code").str.to_lowercase(), "pattern(code)"),
        (pl.lit(1).alias("id"), "unique(id)"),
        (pl.col("time").reverse(), "monotone(time)"),
        (pl.lit("north").alias("station"), "unique(station, time)"),
        (pl.lit(None, pl.Float64).alias("temperature"), "nulls(temperature)"),
        (pl.col("count").cast(pl.Float64), "type(count)"),
    ],
)
def test_damage_breaks_the_drafted_contract(damage: pl.Expr, rule: str) -> None:
    table = rentals()
    assert rule in {one.rule for one in drafted(table).check(table.with_columns(damage)).broken()}


def test_days_that_could_be_months_stay_text() -> None:
    table = pl.DataFrame({"day": ["01/02/2024", "03/04/2024"], "clear": ["01/02/2024", "13/04/2024"]})
    contract = drafted(table, parse_text=True)
    assert (contract.columns["day"].type, contract.columns["clear"].type) == ("str", "date")


def test_characters_that_yaml_does_not_allow_are_escaped_in_a_draft() -> None:
    strange = "a\x07\ufffe\n- {kind: nulls}"
    table = pl.DataFrame({f"group {strange}": [f"x{strange}", "y"] * 60, f"at {strange}": rentals(120)["time"]})
    text = draft_contract(profile_table(table), name=strange, table=f"t{strange}.csv")
    contract = Contract.from_data(parse_yaml(text, name="draft")[0])
    assert contract.rules[2].title.startswith("allowed(group a")
    assert not contract.check(table).broken()
    assert contract.check(table.with_columns(pl.lit("z").alias(f"group {strange}"))).broken()


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-(2**40), 2**40),
    "float": st.floats(width=64),
    "str": st.text(max_size=6),
    "words": st.sampled_from(["a", "b", "null", "", "1", "007", "true", "2024-01-01"]),
    "bool": st.booleans(),
    "date": st.dates(date(1900, 1, 1), date(2100, 1, 1)),
    "datetime": st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),
}
TYPES = {"int": pl.Int64, "float": pl.Float64, "bool": pl.Boolean, "date": pl.Date, "datetime": pl.Datetime("us")}


@settings(max_examples=40, deadline=None)
@given(st.data(), st.booleans())
def test_every_table_keeps_the_contract_drafted_from_it(data: st.DataObject, parse_text: bool) -> None:
    rows = data.draw(st.sampled_from([0, 1, 3, 120]))
    kinds = data.draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=3))
    columns = {}
    for index, kind in enumerate(kinds):
        few = data.draw(st.lists(st.one_of(st.none(), VALUES[kind]), min_size=1, max_size=8))
        repeated = (few * (rows // len(few) + 1))[:rows]
        columns[f"c{index}"] = pl.Series(repeated, dtype=TYPES.get(kind, pl.String))
    table = pl.DataFrame(columns)
    contract = drafted(table, parse_text=parse_text)
    broken = [one for one in contract.check(table).broken() if not (one.rule == "row_count" and not rows)]
    assert not broken
