"""Verb `data`: snapshots of tables, references to them, and what changed between two."""

import json
from pathlib import Path

import polars as pl
import pytest

from lightning_app.__main__ import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIGHTNING_APP_SNAPSHOTS", raising=False)
    return tmp_path


def table(**columns: list) -> pl.DataFrame:
    return pl.DataFrame({"id": [1, 2, 3, 4], "price": [1.0, 2.0, 3.0, None], "shop": ["a", "a", "b", "b"], **columns})


def answer(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_snapshot_is_taken_listed_shown_and_verified(capsys: pytest.CaptureFixture[str]) -> None:
    table(day=["2024-01-01"] * 4).write_csv("sales.csv")
    taken = answer(["data", "snapshot", "sales.csv", "--name", "sales"], capsys)
    assert (taken["name"], taken["new"], taken["rows"]) == (["sales", 1], True, 4)
    assert main(["data", "list"]) == 0
    assert main(["data", "show", "sales", "--verify"]) == 0
    printed = capsys.readouterr().out
    assert f"path: snapshot:sales@{taken['id'][:12]}" in printed
    assert "2024-01-01 .. 2024-01-01 (day, detected)" in printed
    assert "no column; name it with --load-time COLUMN" in printed
    (blob,) = Path("snapshots/blobs").rglob("*.csv")
    blob.chmod(0o644)
    blob.write_text("changed")
    assert main(["data", "show", "sales", "--verify"]) == 2
    assert "was changed: sha256" in capsys.readouterr().err


def test_the_verdict_of_a_contract_is_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    table().write_csv("sales.csv")
    rules = "columns: {price: {type: float}}\nrules: [{kind: range, column: price, max: %s}]"
    ids = []
    for most, said in ((9, "every rule kept"), (2, "BROKEN: range(price) (1 rows)")):
        Path("c.yaml").write_text(rules % most)
        ids.append(answer(["data", "snapshot", "sales.csv", "--contract", "c.yaml"], capsys)["id"])
        assert main(["data", "show", ids[-1]]) == 0
        assert said in capsys.readouterr().out
    assert len(set(ids)) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["snapshot", "absent.csv"], "absent.csv does not exist"),
        (["snapshot", "snapshot:sales"], "snapshot:sales is a snapshot already"),
        (
            ["snapshot", "a.csv", "--event-time", "prize"],
            "event_time: no column 'prize' in a.csv; it has id, price, shop",
        ),
        (["show", "sales"], "snapshot 'sales': not in snapshots; its names are: none"),
        (["diff", "a.csv", "absent"], "absent is neither a file or folder nor a snapshot"),
        (["diff", "a.csv", "a.csv", "--key", "shop"], "key: a occurs 2 times in A; a key names one row"),
        (["diff", "a.csv", "a.csv", "--key", "shop,prize"], "key: column 'prize' is not in both tables"),
    ],
)
def test_bad_usage_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    table().write_csv("a.csv")
    assert main(["data", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_store_that_cannot_be_written_is_an_error_and_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    table().write_csv("a.csv")
    Path("store").write_text("a file where the folder should be")
    assert main(["data", "snapshot", "a.csv", "--store", "store"]) == 1
    assert "Not a directory" in capsys.readouterr().err


def test_a_diff_says_what_changed_by_key(capsys: pytest.CaptureFixture[str]) -> None:
    table(old=[1, 1, 1, 1], kind=[1, 2, 3, 4], size=[1, 2, 3, 4]).write_parquet("a.parquet")
    after = table(new=["x"] * 4, kind=["1", "2", "3", "4"], size=[1.0, 2.0, 3.5, 4.0]).with_columns(
        id=pl.Series([1, 2, 3, 5]), price=pl.Series([1.0, 2.5, 3.0, 9.0]), shop=pl.Series(["a", "a", "b", "c"])
    )
    after.write_parquet("b.parquet")
    found = answer(["data", "diff", "a.parquet", "b.parquet", "--key", "id"], capsys)
    assert (found["added"], found["removed"]) == ({"new": "String"}, {"old": "Int64"})
    assert found["retyped"] == {"kind": ["Int64", "String"], "size": ["Int64", "Float64"]}
    rows = found["rows"]
    assert [rows[name] for name in ("before", "after", "added", "removed", "changed")] == [4, 4, 1, 1, 2]
    assert rows["compared"] == ["price", "shop", "size"]
    assert rows["examples"] == {"added": [{"id": 5}], "removed": [{"id": 4}], "changed": [{"id": 2}, {"id": 3}]}
    price, shop = (next(one for one in found["columns"] if one["column"] == name) for name in ("price", "shop"))
    assert (price["nulls"], price["ranges"], price["changed"]) == ([0.25, 0.0], ["1 .. 3", "1 .. 9"], 1)
    assert (shop["new_categories"], shop["changed"]) == (0.25, 0)


def test_without_a_key_rows_are_counted_as_often_as_they_occur(capsys: pytest.CaptureFixture[str]) -> None:
    pl.DataFrame({"x": [1, 1, 2, None]}).write_csv("a.csv")
    pl.DataFrame({"x": [None, 2, 2, 1]}).write_csv("b.csv")
    rows = answer(["data", "diff", "a.csv", "b.csv"], capsys)["rows"]
    assert (rows["added"], rows["removed"], rows["changed"]) == (1, 1, None)
    assert answer(["data", "diff", "a.csv", "a.csv"], capsys)["same"]


def test_a_shift_of_a_distribution_is_seen_and_its_absence_too(capsys: pytest.CaptureFixture[str]) -> None:
    values = pl.select(x=pl.int_range(1000).cast(pl.Float64)).to_series()
    pl.DataFrame({"same": values, "shifted": values}).write_parquet("a.parquet")
    pl.DataFrame({"same": values.reverse(), "shifted": values + 300}).write_parquet("b.parquet")
    same, shifted = answer(["data", "diff", "a.parquet", "b.parquet"], capsys)["columns"]
    assert (same["psi"], shifted["psi"] > 1) == (0, True)


def test_the_printed_diff_fits_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    name = "a_column_with_a_name_that_is_too_long_for_a_table"
    days = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 4), "1d", eager=True)
    table(when=days, **{name: [1.23456789e12] * 4}).write_parquet("a.parquet")
    table(when=days.dt.offset_by("1d"), **{name: [-1.23456789e-12] * 4}).write_parquet("b.parquet")
    for key in ([], ["--key", "id"]):
        assert main(["data", "diff", "a.parquet", "b.parquet", *key]) == 0
        printed = capsys.readouterr().out
        assert max(map(len, printed.splitlines())) <= 80
        assert "2024-01-05" in printed


def test_a_diff_reads_snapshots_and_folders(capsys: pytest.CaptureFixture[str]) -> None:
    Path("parts").mkdir()
    table().write_csv("parts/1.csv")
    table().write_csv("parts/2.csv")
    assert main(["data", "snapshot", "parts", "--name", "sales", "--store", "store"]) == 0
    table().write_csv("parts/3.csv")
    words = ["data", "diff", "sales", "parts", "--store", "store"]
    assert answer(words, capsys)["rows"]["added"] == 4
