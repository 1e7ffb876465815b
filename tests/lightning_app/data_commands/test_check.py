"""`lightning-app data check`: exit code, lines, and the table of bad rows."""

import json
from pathlib import Path

import polars as pl
import pytest

from lightning_app.__main__ import main

CONTRACT = """
columns:
  time: {type: datetime, severity: quarantine}
  load: {type: float}
rules:
  - {kind: range, column: load, min: 0, max: 100, severity: quarantine}
  - {kind: monotone, column: time}
  - {kind: unique, columns: [time], severity: warn}
max_quarantined: 0.5
"""
ROWS = ["2024-01-01,1.5", "2024-01-02,140", "oops,3", "2024-01-02,NA", "2024-01-03,4"]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "c.yaml").write_text(CONTRACT)
    (tmp_path / "load.csv").write_text("\n".join(["time,load", *ROWS, ""]))
    return tmp_path


def test_a_table_with_rows_to_move_aside_fails_without_a_place_for_them(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "check", "load.csv", "--contract", "c.yaml"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "load.csv: 5 rows, c: 7 rules, 3 broken",
        "quarantine: type(time): 1 row not readable as datetime in ISO 8601 without an offset; "
        "first: row 2 (line 4): time = 'oops'",
        "quarantine: range(load): 1 row not from 0 to 100; first: row 1 (line 3): load = '140'",
        "warn: unique(time): 1 row repeating the time of an earlier row; first: row 3 (line 5): time = '2024-01-02'",
        "2 rows to move aside: --quarantine FILE takes them",
    ]


def test_rows_moved_aside_are_whole_and_the_table_then_keeps_its_contract(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "check", "load.csv", "--contract", "c.yaml", "--quarantine", "bad.parquet"]
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "bad rows: bad.parquet (2 rows)"
    bad = pl.read_parquet("bad.parquet")
    assert bad.select("row", "time", "load").rows() == [(1, "2024-01-02", "140"), (2, "oops", "3")]
    assert bad["reasons"].to_list()[0] == ["range(load): not from 0 to 100"]
    assert main(words) == 2
    assert "bad.parquet exists" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0


def test_a_refused_table_exits_with_1_and_says_so_in_json(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("load.csv").write_text("\n".join(["time,load", *reversed(ROWS), ""]))
    words = ["data", "check", "load.csv", "--contract", "c.yaml", "--quarantine", "bad.parquet", "--json"]
    assert main(words) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["passed"], said["bad_rows"], said["num_rows"]) == (False, 4, 5)
    broken = {one["rule"]: one["num_rows"] for one in said["results"] if not one["passed"]}
    assert broken == {"type(time)": 1, "range(load)": 1, "monotone(time)": 3, "unique(time)": 1}
    assert pl.read_parquet("bad.parquet").height == 4  # those of error rules too, not those of warnings


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "load.csv is empty"),
        ("time,time,load\n1,2,3\n", "column 'time' occurs twice"),
        ("time,load\n2024-01-01,2,3\n", "not a readable table"),
        (None, "load.csv does not exist"),
    ],
)
def test_a_file_that_is_no_table_is_bad_usage(
    content: str | None, message: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("load.csv").unlink()
    if content is not None:
        Path("load.csv").write_text(content)
    assert main(["data", "check", "load.csv", "--contract", "c.yaml"]) == 2
    assert message in capsys.readouterr().err


def test_a_header_without_rows_is_a_table_and_keeps_rules_on_rows(files: Path) -> None:
    Path("load.csv").write_text("time,load\n")
    assert main(["data", "check", "load.csv", "--contract", "c.yaml"]) == 0
    Path("c.yaml").write_text(CONTRACT.replace("rules:", "rules:\n  - {kind: row_count}"))
    assert main(["data", "check", "load.csv", "--contract", "c.yaml"]) == 1
