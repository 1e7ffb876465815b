import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from features.definitions import Definitions
from lightning_app.__main__ import main

FEATURES = """
sources:
  log: {path: log.csv, time: time, columns: {load: {type: float}}}
views:
  row:
    request: {a: {type: float}, b: {type: float}, noise: {type: float}, kind: {type: str}, unread: {type: float}}
    features:
      a_value: {kind: given, column: a}
      a_scaled: {kind: scale, column: a}
      bent: {kind: arithmetic, op: "*", columns: [b_value, b_value]}
      b_value: {kind: given, column: b}
      noise_value: {kind: given, column: noise}
      kind_value: {kind: given, column: kind}
      unread_value: {kind: given, column: unread}
  past:
    source: log
    features:
      load_1d: {kind: aggregate, function: mean, column: load, window: 1d}
labels:
  target: {kind: column, column: target}
  high: {kind: column, column: high}
  constant: {kind: column, column: constant}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = 1_200
    a, b, noise = rng.normal(size=(3, rows))
    kind = rng.choice(["x", "y", "z"], rows)
    target = 3 * a + 2 * b**2 + 1.5 * (kind == "x") + 0.3 * rng.normal(size=rows)
    times = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2025, 1, 1), "1h", eager=True)[:rows]
    table = pl.DataFrame(
        {"time": times, "a": a, "b": b, "noise": noise, "kind": kind, "unread": noise, "target": target}
    )
    table = table.with_columns(
        high=pl.when(pl.col("target") > 3).then(pl.lit("yes")).otherwise(pl.lit("no")), constant=1
    )
    table.with_columns(a=pl.when(pl.int_range(pl.len()) % 11 == 0).then(None).otherwise("a")).write_csv(
        tmp_path / "rows.csv"
    )
    table.select("time", load=pl.lit(1.0)).write_csv(tmp_path / "log.csv")
    path = tmp_path / "features.yaml"
    path.write_text(FEATURES)
    return path


def select(file: Path, *options: str, label: str = "target") -> list[str]:
    return ["features", "select", str(file), "--label", label, "--rows", "rows.csv", *options]


@pytest.mark.parametrize("label", ["target", "high"])
def test_importance_finds_what_the_label_is_made_of(file: Path, label: str, capsys: pytest.CaptureFixture[str]) -> None:
    output = file.parent / "out" / "reduced.yaml"
    output.parent.mkdir()
    assert main(select(file, "--keep", "4", "--output", str(output), "--json", label=label)) == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    kept = [one["name"] for one in answer["features"] if one["kept"]]
    assert {"row.kind_value"} < set(kept)
    assert {"row.a_value", "row.a_scaled"} & set(kept)
    assert {"row.bent", "row.b_value"} & set(kept)
    assert not {"row.noise_value", "past.load_1d"} & set(kept)
    assert answer["explained"] > 0.5
    reduced = Definitions.load(output)
    assert set(reduced.select()) == set(kept) | set(answer["read_by_kept"])
    assert "unread" not in reduced.views["row"].request
    assert "row.b_value" in reduced.select()  # `bent` reads it
    assert set(reduced.labels) == {label}


def test_correlation_keeps_one_of_two_that_say_the_same(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = select(file, "--keep", "3", "--method", "correlation", "--output", "reduced.yaml")
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "as row.a_" in said
    assert "mutual information" in said
    names = set(Definitions.load("reduced.yaml").select())
    assert len({"row.a_value", "row.a_scaled"} & names) == 1


def test_sources_of_reduced_definitions_lead_to_the_same_files(file: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    words = select(file, "--features", "past", "--keep", "1", "--output", str(tmp_path / "out" / "reduced.yaml"))
    assert main(words) == 0
    assert Definitions.load(tmp_path / "out" / "reduced.yaml").sources["log"].path == "../log.csv"


@pytest.mark.parametrize(
    ("options", "label", "message"),
    [
        (["--keep", "0", "--output", "r.yaml"], "target", "keep: 0 given"),
        (["--keep", "1", "--output", "r.txt"], "target", "ends in .yaml is needed"),
        (["--keep", "1", "--output", "r.yaml"], "constant", "is the same in all training rows"),
        (["--keep", "1", "--output", "r.yaml"], "targt", "did you mean 'target'?"),
    ],
)
def test_bad_use_is_said(
    file: Path, options: list[str], label: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(select(file, *options, label=label)) == 2
    assert message in capsys.readouterr().err
