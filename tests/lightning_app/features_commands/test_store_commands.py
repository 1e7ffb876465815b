import json
import sqlite3
from pathlib import Path

import polars as pl
import pytest

from lightning_app.__main__ import main


def output_of(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    capsys.readouterr()
    assert main(["features", *words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    return answer if isinstance(answer, dict) else answer[0]  # type: ignore[no-any-return]


def materialized(capsys: pytest.CaptureFixture[str], file: Path, *options: str) -> dict[str, object]:
    views = output_of(capsys, "materialize", str(file), *options)["views"]
    assert isinstance(views, list)
    return dict(views[0])


ROWS = "customer,time\n1,2024-04-01T00:00:00\n3,2024-06-17T09:00:00\n9,2024-04-01T00:00:00\n,2024-04-01T00:00:00\n"


def test_a_store_answers_what_a_training_table_holds(features_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("rows.csv").write_text(ROWS)
    assert main(["features", "build", str(features_file), "--rows", "rows.csv", "--output", "t.csv", "--reasons"]) == 0
    assert main(["features", "materialize", str(features_file)]) == 0
    words = ["get", str(features_file), "--rows", "rows.csv", "--at", "time", "--output", "g.csv"]
    assert main(["features", *words]) == 0
    assert Path("g.csv").read_text() == Path("t.csv").read_text()
    table = pl.read_csv("t.csv")
    assert table["orders"].to_list() == [3, 1, 0, None]
    assert table["spent_90d"].to_list() == [20.0, 7.0, None, None]  # the order of January has left the window
    assert table["spent_90d__reason"].to_list() == ["present", "present", "never", "missing"]


def test_twice_is_once_and_late_and_corrected_rows_count(
    features_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    orders = features_file.with_name("orders.csv")
    first = materialized(capsys, features_file)
    assert (first["events"], first["entities"], first["written"]) == (5, 3, 3)
    content = sqlite3.connect("features.db").execute("SELECT * FROM entities").fetchall()
    assert materialized(capsys, features_file)["written"] == 0
    assert sqlite3.connect("features.db").execute("SELECT * FROM entities").fetchall() == content
    with orders.open("a") as file:
        file.write("2,2024-01-01T00:00:00,100.0,FR\n")  # earlier than everything
    late = materialized(capsys, features_file)
    assert (late["written"], late["removed"]) == (1, 0)
    words = ("get", str(features_file), "--entity", "customer=2", "--at", "2024-03-21")
    assert output_of(capsys, *words)["spent_90d"] == 105.5
    orders.write_text(orders.read_text().replace("100.0", "200.0"))
    assert materialized(capsys, features_file)["written"] == 1
    assert output_of(capsys, *words)["spent_90d"] == 205.5
    orders.write_text("".join(line for line in orders.read_text().splitlines(keepends=True) if line[:2] != "3,"))
    assert materialized(capsys, features_file)["removed"] == 1
    assert output_of(capsys, "get", str(features_file), "--entity", "customer=3")["orders__reason"] == "present"


def test_until_goes_forward_only(features_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    half = materialized(capsys, features_file, "--until", "2024-02-15")
    assert (half["events"], half["until"]) == (3, "2024-02-15 00:00:00")
    assert materialized(capsys, features_file, "--until", "2024-03-16")["written"] == 1
    assert main(["features", "materialize", str(features_file), "--until", "2024-02-15"]) == 2
    assert "holds what was available until 2024-03-16" in capsys.readouterr().err
    assert materialized(capsys, features_file, "--until", "2024-02-15", "--replace")["written"] == 2


def test_other_definitions_are_refused_or_replaced(features_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    materialized(capsys, features_file)
    text = features_file.read_text()
    features_file.write_text(text.replace("Number of orders.", "How many orders.").replace("owner: sales", "owner: me"))
    assert materialized(capsys, features_file)["written"] == 0  # texts for people change nothing
    features_file.write_text(text.replace("window: 90d", "window: 30d"))
    for words in (["materialize", str(features_file)], ["get", str(features_file), "--entity", "customer=1"]):
        assert main(["features", *words]) == 2
        assert "is of other definitions" in capsys.readouterr().err
    assert materialized(capsys, features_file, "--namespace", "other")["written"] == 3
    assert materialized(capsys, features_file, "--replace")["written"] == 3
    assert output_of(capsys, "get", str(features_file), "--entity", "customer=1", "--at", "2024-04-01")["orders"] == 3


def test_features_that_lack_a_column_are_left_out_by_name(
    features_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = features_file.read_text()
    features_file.write_text(text + "      share: {kind: arithmetic, op: /, columns: [basket, spent_90d]}\n")
    materialized(capsys, features_file)
    words = ["get", str(features_file), "--entity", "customer=3", "--at", "2024-03-21"]
    assert main(["features", *words]) == 0
    assert "left out: customer.share (needs --request basket=VALUE)" in capsys.readouterr().err
    assert output_of(capsys, *words, "--request", "basket=14")["share"] == 2.0
    assert main(["features", *words, "--request", "basket=14", "--request", "basket=7"]) == 2
    assert "'basket' is given twice, as '7' and as '14'" in capsys.readouterr().err
    Path("baskets.csv").write_text("customer,basket\n3,7.0\n")
    words = ["get", str(features_file), "--rows", "baskets.csv", "--request", "basket=14"]
    assert main(["features", *words]) == 2
    assert "'basket' is given twice, as '14' and as a column of baskets.csv" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["get", "FILE", "--entity", "customer=1"], 2, "was never written"),
        (["get", "FILE"], 2, "give entities as --entity"),
        (["get", "FILE", "--entity", "customer"], 2, "NAME=VALUE is needed"),
        (["get", "FILE", "--entity", "client=1"], 2, "'client' is no key of an entity"),
        (["get", "FILE", "--entity", "customer=1", "--at", "soon"], 2, "a time such as"),
        (["get", "FILE", "--entity", "customer=1,customer=2"], 2, "gives a name twice"),
        (["materialize", "FILE", "--views", "custom"], 2, "did you mean 'customer'?"),
        (["materialize", "FILE", "--until", "2024-01-01T00:00:00Z"], 2, "are without one"),
        (["materialize", "FILE", "--store", "ftp://host"], 2, "is no address of a store"),
        (["materialize", "FILE", "--store", "redis://:pw@127.0.0.1:1"], 1, "redis://:***@127.0.0.1:1"),
        (["build", "FILE", "--rows", "absent.csv", "--output", "t.parquet"], 2, "absent.csv does not exist"),
        (["build", "FILE", "--rows", "orders.csv", "--output", "t.txt"], 2, ".parquet or .csv is needed"),
        (["build", "FILE", "--rows", "orders.csv", "--output", "t.csv", "--at", "tme"], 2, "no column 'tme'"),
    ],
)
def test_bad_use_is_said_in_one_line(
    features_file: Path, words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["features", *(str(features_file) if word == "FILE" else word for word in words)]) == code
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_views_whose_entity_is_not_given_are_left_out_by_name(
    features_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = "  place: {source: orders, entity: place, features: {sold: {kind: aggregate, function: count}}}\n"
    text = features_file.read_text().replace("sources:", "  place: {keys: {country: str}}\nsources:") + place
    features_file.write_text(text)
    materialized(capsys, features_file)
    assert main(["features", "get", str(features_file), "--entity", "country=UK"]) == 0
    said = capsys.readouterr()
    assert "left out: customer.orders (needs --entity customer=VALUE)" in said.err
    assert said.out.splitlines()[0] == "country=UK"
    Path("rows.csv").write_text("contry\nUK\n")
    assert main(["features", "get", str(features_file), "--rows", "rows.csv"]) == 2
    assert "no key column" in capsys.readouterr().err


def test_a_read_before_the_last_event_is_refused(features_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    materialized(capsys, features_file)
    assert main(["features", "get", str(features_file), "--entity", "customer=1", "--at", "2024-03-01"]) == 2
    assert "is before 2024-03-15 12:00:00.000001, when the last event of [1] became visible" in capsys.readouterr().err
