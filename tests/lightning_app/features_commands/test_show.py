import json
from pathlib import Path

import pytest

from lightning_app.__main__ import main


def test_list_names_type_and_unit_of_every_feature(features_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["features", "list", str(features_file), "--json"]) == 0
    entries = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert entries["customer.orders"]["type"] == "int"
    assert (entries["customer.spent_90d"]["type"], entries["customer.spent_90d"]["unit"]) == ("float", "GBP")
    assert entries["customer.last_country"]["type"] == "str"
    assert entries["customer.recency"]["unit"] == "1d"
    assert entries["customer.orders"]["owner"] == "sales"
    assert main(["features", "list", str(features_file), "--views", "customer.orders"]) == 0
    assert "1 features of 1 views" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", ["md", "html"])
def test_show_writes_a_page_of_every_feature(features_file: Path, suffix: str) -> None:
    page = features_file.with_name(f"page.{suffix}")
    assert main(["features", "show", str(features_file), "--output", str(page)]) == 0
    text = page.read_text()
    for name in ("customer.orders", "customer.weekday", "Number of orders.", "GBP", "sales"):
        assert name in text


def test_show_tells_statistics_over_a_table(features_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = features_file.with_name("rows.csv")
    rows.write_text("customer,time\n1,2024-04-01T00:00:00\n2,2024-04-01T00:00:00\n9,2024-04-01T00:00:00\n")
    with features_file.open("a") as file:
        file.write("      scaled: {kind: scale, column: spent_90d}\n")
    assert main(["features", "show", str(features_file), "--rows", str(rows), "--json"]) == 0
    said = capsys.readouterr()
    told = {entry["name"]: entry["statistics"] for entry in json.loads(said.out)}
    assert told["customer.orders"]["mean"] == pytest.approx(4 / 3)
    assert told["customer.spent_90d"]["missing"] == 1
    assert told["customer.spent_90d"]["reasons"] == {"never": 1}
    assert told["customer.last_country"]["top"] == {"DE": 1, "FR": 1}
    assert told["customer.scaled"] is None
    assert "no statistics of customer.scaled, which needs --fitted" in said.err
    page = features_file.with_name("page.html")
    assert main(["features", "show", str(features_file), "--rows", str(rows), "--output", str(page)]) == 0
    assert "1 (33.3%): never 1" in page.read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show", "FILE", "--packages", "."], "no package, and none is in it"),
        (["shw"], "did you mean 'show'?"),
        ([], "no sub-command given"),
        (["list", "FILE", "--views", "custmer"], "did you mean 'customer'?"),
        (["show", "FILE", "--output", "page.pdf"], ".md or .html is needed"),
        (["list", "absent.yaml"], "absent.yaml cannot be read"),
    ],
)
def test_bad_use_is_said_in_one_line(
    features_file: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["features", *(str(features_file) if word == "FILE" else word for word in words)]) == 2
    assert message in capsys.readouterr().err
