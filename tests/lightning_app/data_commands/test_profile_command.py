"""`lightning-app data profile`: a page that fits a terminal, and a contract that the table keeps."""

import json
from pathlib import Path

import polars as pl
import pytest

from lightning_app.__main__ import main
from tests.conftest import waves


def test_a_profile_fits_80_columns_and_its_contract_is_kept(
    table_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "profile", str(table_file), "--output", "waves.yaml"]) == 0
    lines = capsys.readouterr().out.replace(str(table_file), "waves.csv").splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "waves.csv: 400 rows, 3 columns"
    assert lines[2].split() == ["time", "datetime", "0%", "400", "2024-01-01", "..", "2024-01-17", "15:00"]
    assert lines[5] == "time: time in order, a step of 3600 s in 100.0%"
    assert "# - {kind: freshness, column: time, max_age: 2d}" in Path("waves.yaml").read_text()
    assert main(["data", "check", str(table_file), "--contract", "waves.yaml"]) == 0
    assert capsys.readouterr().out.endswith("rules kept\n")


def test_damage_is_refused_by_the_contract_of_the_profile(table_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "profile", str(table_file), "--output", "waves.yaml"]) == 0
    waves().with_columns(c0=pl.when(pl.int_range(pl.len()) == 7).then(1e6).otherwise("c0")).write_parquet("new.parquet")
    assert main(["data", "check", "new.parquet", "--contract", "waves.yaml"]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: range(c0): 1 row not from ")
    assert line.endswith("first: row 7: c0 = 1000000.0")


def test_a_profile_as_json(table_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "profile", str(table_file), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["num_rows"] == 400
    assert said["columns"]["time"]["min"] == "2024-01-01T00:00:00"
    assert said["time"]["step"] == 3600


@pytest.mark.parametrize("output", ["waves.txt", "there.yaml"])
def test_a_contract_of_another_suffix_or_that_exists_is_not_written(
    output: str, table_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("there.yaml").write_text("mine")
    assert main(["data", "profile", str(table_file), "--output", output]) == 2
    assert Path("there.yaml").read_text() == "mine"
