"""`score` and `Package.predict` keep a contract: bad rows are rejected with the rule, bad tables refused."""

import json
from pathlib import Path

import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.packaging import BadRowsError, Package, RequestError
from tests.conftest import only_run, waves
from tests.packages import small_package

CONTRACT = """
rules:
  - {kind: range, column: length, min: 0, max: 100}
  - {kind: unique, columns: [id], severity: quarantine}
  - {kind: row_count, min: 3}
  - {kind: range, column: width, max: 5, severity: warn}
"""


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_rows_that_break_a_contract_are_rejected_with_the_rule(
    ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = small_package(tmp_path / "package")
    numbers = {name: [1.0, 2.0, -3.0, 4.0] for name in ("length", "width", "height")}
    table = pl.DataFrame({"id": [7, 8, 9, 8], **numbers, "weight": ["1", "2", "x", "4"]})
    table = table.with_columns(width=pl.lit(9.0))
    (tmp_path / "c.yaml").write_text(CONTRACT)
    if ending == "csv":
        table.write_csv("data.csv")
        types = "columns: {length: {type: float}, width: {type: float}}\n"
        (tmp_path / "c.yaml").write_text(types + CONTRACT)
    else:
        table.write_parquet("data.parquet")
    words = ["score", str(package), f"data.{ending}", "--output", "found.parquet", "--contract", "c.yaml"]
    assert main([*words, "--max-rejected", "1"]) == 1
    assert main([*words, "--max-rejected", "2", "--overwrite"]) == 0
    assert pl.read_parquet("found.parquet")["id"].cast(pl.Int64).to_list() == [7, 8]
    rejected = pl.read_parquet("found.rejected.parquet")
    assert rejected.select("row", "reason").rows() == [
        (2, "range(length): not from 0 to 100"),
        (3, "unique(id): repeating the id of an earlier row"),
    ]
    assert json.loads(rejected["input"][0])["weight"] == "x"
    assert "range(width): 4 rows not at most 5" in capsys.readouterr().out
    (tmp_path / "c.yaml").write_text("rules: [{kind: row_count, min: 5}]\n")
    assert main([*words, "--overwrite"]) == 2
    assert "breaks c: row_count: 4 rows; at least 5 are allowed" in capsys.readouterr().err


CONFIG = """
seed_everything: 3
trainer: {max_epochs: 1, accelerator: cpu, logger: false}
model:
  class_path: Forecaster
  init_args: {network: RepeatLast, loss: torch.nn.L1Loss}
data:
  class_path: ForecastingDataModule
  init_args:
    series:
      class_path: TableFile
      init_args:
        path: waves.csv
        time_column: time
        channels: [c0]
        frequency: 1h
        contract: waves.yaml
        quarantine: bad.parquet
    missing: fill
    look_back: 48
    horizon: 12
"""
"""Config of a forecaster of one of the two channels."""


@pytest.fixture
def package(tmp_path: Path) -> Package:
    waves().write_csv("waves.csv")
    assert main(["data", "profile", "waves.csv", "--output", "waves.yaml"]) == 0
    Path("small.yaml").write_text(CONFIG)
    assert main(["fit", "-c", "small.yaml", "--run.root", "runs"]) == 0
    assert main(["export", str(only_run(Path("runs"))), "--output", "package"]) == 0
    return Package.load("package")


def test_a_package_carries_the_contract_of_its_data(package: Package, capsys: pytest.CaptureFixture[str]) -> None:
    assert package.contract is not None
    assert package.contract.name == "waves"
    table = waves()
    whole = package.predict(table)
    assert package.predict(table.select("time", "c0")).equals(whole)  # c1 is not read: its rules are not checked
    assert package.predict(table.to_dict(as_series=False))["forecast"].tolist() == whole["forecast"].to_list()
    bad = table.with_columns(c0=pl.when(pl.int_range(pl.len()) == 390).then(1e6).otherwise("c0"))
    with pytest.raises(BadRowsError, match=r"row 390: range\(c0\): not from"):
        package.predict(bad)
    with pytest.raises(RequestError, match=r"the table breaks waves: type\(c0\): column 'c0' holds Boolean, float"):
        package.predict(table.with_columns(c0=pl.lit(value=True)))
    bad.write_parquet("bad_rows.parquet")
    capsys.readouterr()
    assert main(["score", "package", "bad_rows.parquet", "--output", "found.parquet"]) == 0
    assert "1 rows inserted in gaps" in capsys.readouterr().out
    assert pl.read_parquet("found.parquet")["time"].equals(whole["time"])
    rejected = pl.read_parquet("found.rejected.parquet")
    assert rejected["row"].to_list() == [390]
    assert rejected["reason"][0].startswith("range(c0): not from ")
    assert json.loads(rejected["input"][0])["c0"] == 1e6
    lax = "rules: [{kind: row_count}]\n"
    Path("lax.yaml").write_text(lax)
    words = ["score", "package", "bad_rows.parquet", "--output", "found.parquet", "--overwrite"]
    assert main([*words, "--contract", "lax.yaml"]) == 0
    assert not Path("found.rejected.parquet").exists()
    assert main([*words, "--max-rejected", "0"]) == 1
    assert "1 of 400 rows break the contract, 0 are allowed" in capsys.readouterr().err
