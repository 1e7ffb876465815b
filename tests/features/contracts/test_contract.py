"""Contracts as files and as objects: one to one, strict, and with messages that name line and nearest name."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from features.contracts import (
    Allowed,
    Contract,
    ContractColumn,
    ContractError,
    Monotone,
    Nulls,
    Range,
    RowCount,
    Unique,
)

RENTALS = Contract(
    name="rentals",
    key=("dteday", "hr"),
    columns={"dteday": ContractColumn(type="date"), "hr": ContractColumn(type="int", severity="quarantine")},
    rules=(
        Range(column="hr", min=0, max=23, severity="quarantine"),
        Unique(columns=("dteday", "hr")),
        Allowed(column="weather", values=("clear", "rain", "no", "1", "2024-01-01"), severity="warn"),
        Monotone(column="dteday"),
        Nulls(column="weather", max_share=0.25),
        RowCount(min=2),
    ),
    max_quarantined=0.5,
)
TABLE = pl.DataFrame(
    {
        "dteday": ["2011-01-01", "2011-01-01", "2011-01-02", "2011-01-02"],
        "hr": ["0", "23", "24", "1"],
        "weather": ["clear", "snow", "rain", None],
    }
)


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_contract_is_equal_to_its_file(suffix: str, tmp_path: Path) -> None:
    import msgspec

    file = tmp_path / f"other.{suffix}"
    file.write_text(RENTALS.to_yaml() if suffix == "yaml" else msgspec.json.encode(RENTALS).decode())
    assert Contract.load(file) == RENTALS


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    return file


RULES = "rules:\n  - {kind: row_count}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules:\n  - {kind: range, column: hr, min: 0\n", r"c.yaml, line \d: no YAML"),
        (RULES + "  - {kind: range, column: hr, mix: 0}\n", "rules.1.mix: unknown key 'mix'; did you mean 'min'"),
        (RULES + "  - {kind: rnage, column: hr}\n", "line 3: rules.1: unknown kind 'rnage'; did you mean 'range'"),
        (RULES + "  - {column: hr}\n", "line 3: rules.1: no `kind` is given"),
        (RULES + "  - kind: range\n    column: hr\n    min: [1]\n", "line 5: rules.1.min: expected"),
        (RULES + "  - {kind: pattern, column: c, regex: '('}\n", r"rules.1: pattern\(c\): '\(' is not a regular"),
        (RULES + "  - {kind: row_count}\n", "two are named 'row_count'; give each a name of its own"),
        (RULES + "rules: []\n", "line 3: key 'rules' occurs twice"),
        (RULES + "colums: {}\n", "line 3: colums: unknown key 'colums'; did you mean 'columns'"),
        ("columns:\n  hr: {type: itn}\n", "line 2: columns.hr.type: invalid enum value 'itn'"),
        ("columns:\n  hr: {typ: int}\n", "line 2: columns.hr.typ: unknown key 'typ'; did you mean 'type'"),
        ("columns:\n  hr: {type: int, time_format: x}\n", "line 2: columns.hr: time_format: 'x' given for type int"),
        ("columns:\n  t: {type: datetime, time_zone: UTC, time_format: '%d'}\n", r"'%d' has no offset \(%z\)"),
        ("a: &a 1\nb: *a\n", "line 2: aliases"),
        ("", "keys with values are needed, nothing given"),
        ("name: x\n", "neither columns nor rules"),
        ("schema_version: 2\n" + RULES, "schema_version: 2 given, this version reads up to 1"),
        (RULES + "max_quarantined: 2\n", "a share from 0 to 1"),
        ("rules: [{kind: range, column: x}]", "give min, max or both"),
        ("rules: [{kind: range, column: x, min: 3, max: 1}]", "min 3 is larger than max 1"),
        ("rules: [{kind: range, column: x, min: .inf}]", "leave it out for no bound"),
        ("rules: [{kind: allowed, column: x, values: [a, 1]}]", "values of several types"),
        ("rules: [{kind: allowed, column: x, values: []}]", "name the allowed ones"),
        ("rules: [{kind: nulls, column: x, max_share: 5}]", "a share from 0 to 1"),
        ("rules: [{kind: nulls, column: x, max_share: 0.1, severity: quarantine}]", "concerns the whole table"),
        ("rules: [{kind: freshness, column: x, max_age: 2 days}]", "'2 days' is no duration"),
        ("rules: [{kind: freshness, column: x, max_age: 2d, time_zone: Berlin}]", "'Berlin' is no zone"),
        ("rules: [{kind: unique, columns: [a, a]}]", "one or several different ones"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        Contract.load(write(tmp_path, text))


def test_words_that_yaml_takes_for_other_things_stay_text(tmp_path: Path) -> None:
    own = Contract.load(write(tmp_path, "rules: [{kind: allowed, column: x, values: [no, on, 2024-01-01, 007, 1_0]}]"))
    assert own.rules[0] == Allowed(column="x", values=("no", "on", "2024-01-01", "007", "1_0"))


def test_text_columns_are_parsed_into_their_declared_types() -> None:
    found = RENTALS.check(TABLE)
    assert found.passed
    assert [one.describe() for one in found.broken()] == [
        "range(hr): 1 row not from 0 to 23; first: row 2: dteday = '2011-01-02', hr = '24'",
        "allowed(weather): 1 row not one of 'clear', 'rain', 'no', '1', '2024-01-01'; "
        "first: row 1: dteday = '2011-01-01', hr = '23', weather = 'snow'",
    ]
    wrong = RENTALS.check(TABLE.with_columns(hr=pl.Series(["0", "x", "NA", "3.5"])))
    assert [one.describe() for one in wrong.broken("quarantine")] == [
        "type(hr): 2 rows not readable as int; first: row 1: dteday = '2011-01-01', hr = 'x'"
    ]


def test_bad_rows_go_to_a_table_with_their_reasons_and_none_is_lost() -> None:
    table = TABLE.with_columns(hr=pl.Series(["0", "x", "24", "1"]), row=pl.lit("own"))
    good, quarantined, verdict = RENTALS.split(table)
    assert good.equals(table[[0, 3]])
    assert quarantined.columns == ["row_", "reasons", "dteday", "hr", "weather", "row"]
    assert quarantined["row_"].to_list() == [1, 2]
    assert quarantined["reasons"].to_list() == [["type(hr): not readable as int"], ["range(hr): not from 0 to 23"]]
    assert verdict.passed
    few = msgspec_replace(RENTALS, max_quarantined=0.25).split(table)
    assert not few.verdict.passed
    assert few.verdict.broken("error")[-1].describe() == (
        "max_quarantined: 2 of 4 rows would be moved aside, 50.00%; 25.00% are allowed"
    )


def msgspec_replace(contract: Contract, **values: Any) -> Contract:
    from msgspec.structs import replace

    return replace(contract, **values)


def test_an_absent_column_is_named_with_the_nearest_one() -> None:
    found = RENTALS.check(TABLE.rename({"weather": "wether"}))
    assert [one.describe() for one in found.broken("error")] == [
        "required(weather): there is no column 'weather'; did you mean 'wether'?",
        "nulls(weather): not checked: there is no column 'weather'",
    ]
    with pytest.raises(
        ContractError, match=r"t.csv breaks rentals: required\(weather\): .* \(and 1 more broken rules\)"
    ):
        found.raise_errors("t.csv")
    optional = Contract(columns={"x": ContractColumn(required=False)}, rules=(Range(column="x", min=0),))
    assert optional.check(TABLE).passed


def test_extra_columns_are_named() -> None:
    strict = Contract(columns={"dteday": ContractColumn(), "hr": ContractColumn()}, extra_columns="error")
    assert strict.check(TABLE).broken()[0].describe() == "extra_columns: 'weather': not in the contract"
    assert strict.check(TABLE.drop("weather")).passed


@pytest.mark.parametrize(
    ("values", "column", "message"),
    [
        (["2024-01-01 00:00", "2024-01-01 00:00+02:00"], {}, "1 row not readable as datetime in ISO 8601 without"),
        (["2024-01-01 00:00", "2024-01-01T00:00Z"], {"time_zone": "UTC"}, "in ISO 8601 with an offset; first: row 0"),
        (pl.Series([datetime(2024, 1, 1, tzinfo=UTC)]), {}, "is in the time zone UTC, none is declared"),
        (pl.Series([datetime(2024, 1, 1)]), {"time_zone": "UTC"}, "UTC is declared"),
        ([1.5], {"type": "int"}, "column 't' holds Float64, int is declared"),
        (["1.5"], {"type": "int"}, "1 row not readable as int"),
        ([1], {"type": "str"}, "column 't' holds Int64, str is declared"),
        (["01.02.2024", "2024-01-01"], {"time_format": "%d.%m.%Y"}, "in the format %d.%m.%Y; first: row 1"),
    ],
)  # fmt: skip
def test_other_types_and_time_zones_break_a_contract(values: Any, column: dict[str, Any], message: str) -> None:
    own = Contract.from_data({"columns": {"t": {"type": "datetime", **column}}})
    found = own.check(pl.DataFrame({"t": values}))
    assert not found.passed
    assert message in found.broken()[0].describe()


def test_timestamps_of_two_zones_are_compared_as_instants() -> None:
    rule = {"kind": "compare", "left": "a", "operator": "<=", "right": "b"}
    moment = pl.Series([datetime(2024, 1, 1, 12, tzinfo=UTC)])
    table = pl.DataFrame({"a": moment, "b": moment.dt.convert_time_zone("Asia/Tokyo")})
    assert Contract.from_data({"rules": [rule]}).check(table).passed
    naive = table.with_columns(b=pl.lit(datetime(2024, 1, 1)))
    assert "one states a time zone" in Contract.from_data({"rules": [rule]}).check(naive).broken()[0].message
