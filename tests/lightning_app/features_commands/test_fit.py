"""`features fit` learns on the rows that it is given, and `features build` applies what was learned."""

from pathlib import Path

import polars as pl
import pytest

from lightning_app.__main__ import main

SCALED = "      scaled: {kind: scale, column: basket}\n"


def test_what_was_fitted_on_training_rows_scales_other_rows(
    features_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    features_file.write_text(features_file.read_text() + SCALED)
    asked = "customer,time,basket\n1,2024-04-01T00:00:00,{}\n2,2024-04-01T00:00:00,{}\n"
    Path("train.csv").write_text(asked.format(1.0, 3.0))
    Path("test.csv").write_text(asked.format(2.0, 5.0))
    assert main(["features", "fit", str(features_file), "--rows", "train.csv", "--output", "fitted.json"]) == 0
    assert "fitted: fitted.json (1 features, 2 rows)" in capsys.readouterr().out
    build = ["features", "build", str(features_file), "--rows", "test.csv", "--output", "table.parquet"]
    assert main([*build, "--fitted", "fitted.json"]) == 0
    assert pl.read_parquet("table.parquet")["scaled"].to_list() == [0.0, 3.0]
    features_file.write_text(features_file.read_text().replace("column: basket", "column: basket, method: minmax"))
    assert main([*build, "--fitted", "fitted.json"]) == 2
    assert "fit" in capsys.readouterr().err.splitlines()[-1]


def test_an_output_that_is_no_json_file_is_refused(features_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["features", "fit", str(features_file), "--rows", "train.csv", "--output", "fitted.pkl"]) == 2
    assert "output: 'fitted.pkl' given, a file that ends in .json is needed" in capsys.readouterr().err
