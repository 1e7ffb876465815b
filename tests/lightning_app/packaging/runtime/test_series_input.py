"""Packages of forecasters answer raw tables: as the run predicts, with names and times, or say why not."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.packaging import BadRowsError, Package, RequestError
from lightning_app.registry.storage.mlflow_model import write_mlflow_model
from tests.conftest import only_run, waves

LOOK_BACK, HORIZON = 48, 12


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two channels with a calendar, its predictions, and its package."""
    folder = tmp_path_factory.mktemp("exported")
    waves().with_columns(note=pl.lit("x")).write_csv(folder / "waves.csv")
    (folder / "small.yaml").write_text(CONFIG.format(path=folder / "waves.csv"))
    assert main(["fit", "-c", str(folder / "small.yaml"), "--run.root", str(folder / "runs")]) == 0
    run = only_run(folder / "runs")
    assert main(["predict", "--ckpt_path", str(run / "checkpoints/best.ckpt")]) == 0
    assert main(["export", str(run), "--output", str(folder / "package")]) == 0
    return folder


CONFIG = """
seed_everything: 3
trainer: {{max_epochs: 1, limit_train_batches: 5, accelerator: cpu, logger: false}}
model:
  class_path: Forecaster
  init_args:
    network:
      class_path: PatchTransformer
      init_args:
        patch_size: 12
        stride: 12
        hidden_size: 8
        feed_forward_size: 8
        num_layers: 1
        num_heads: 2
        norm: {{class_path: ReversibleNorm, init_args: {{mode: last}}}}
    loss: torch.nn.L1Loss
    optimizer: {{class_path: AdamW, init_args: {{lr: 0.004}}}}
data:
  class_path: ForecastingDataModule
  init_args:
    series:
      class_path: TableFile
      init_args: {{path: {path}, time_column: time, channels: [c1, c0], frequency: 1h}}
    missing: fill
    calendar: [hour, day_of_week]
    look_back: 48
    horizon: 12
    batch_size: 16
"""


@pytest.fixture
def package(exported: Path) -> Package:
    return Package.load(exported / "package")


@pytest.fixture
def table(exported: Path) -> pl.DataFrame:
    return pl.read_csv(exported / "waves.csv")


def assert_same(answer: pl.DataFrame, expected: pl.DataFrame) -> None:
    assert answer.drop("forecast").equals(expected.drop("forecast"))
    np.testing.assert_allclose(answer["forecast"].to_numpy(), expected["forecast"].to_numpy(), rtol=1e-5)


def test_a_raw_table_is_answered_as_predict_does(exported: Path, package: Package, table: pl.DataFrame) -> None:
    (path,) = (exported / "runs").rglob("predictions.parquet")
    predicted = pl.read_parquet(path)
    assert predicted.columns == ["time", "channel", "forecast"]
    assert_same(package.predict(table), predicted)
    assert_same(package.predict(table.select("c0", "time", "c1").tail(LOOK_BACK)), predicted)
    assert_same(package.predict(table.with_columns(pl.col("time").str.to_datetime()).to_pandas()), predicted)
    assert_same(package.predict(table.to_arrow()), predicted)
    as_dict = package.predict({name: table[name].to_list() for name in ("time", "c0", "c1")})
    assert as_dict["channel"][0] == "c1"
    assert package.manifest.parity["raw_rows"]["max_relative_error"] < 1e-5


def test_the_mlflow_model_of_a_package_takes_raw_rows_and_windows(
    exported: Path, package: Package, table: pl.DataFrame, tmp_path: Path
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs the extra registry")
    write_mlflow_model(exported / "package", package.manifest, tmp_path / "model")
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    assert_same(pl.from_pandas(model.predict(table.to_pandas())), package.predict(table))
    past = table.select("c1", "c0").tail(LOOK_BACK).to_numpy()[None].astype(np.float32)
    windows = {"past": past, "future_covariates": np.zeros((1, LOOK_BACK + HORIZON, 2), dtype=np.float32)}
    assert model.predict(windows)["forecast"].shape == (1, HORIZON, 2)


def test_every_row_with_enough_history_can_be_asked(package: Package, table: pl.DataFrame) -> None:
    everywhere = package.predict(table, at="all")
    assert everywhere.columns == ["origin", "time", "channel", "forecast"]
    assert everywhere["origin"].n_unique() == len(table) - LOOK_BACK + 1
    origin = datetime(2024, 1, 5, 7)
    (one,) = everywhere.filter(pl.col("origin") == origin).partition_by("origin")
    assert_same(package.predict(table, at=[origin]), one)
    assert_same(package.predict(table, at=["2024-01-05T07:00:00"]), one)
    upto = table.filter(pl.col("time") <= "2024-01-05T07:00:00.000000")
    assert_same(package.predict(upto), one.drop("origin"))


def test_what_is_filled_is_said(package: Package, table: pl.DataFrame) -> None:
    gap = table.filter(pl.int_range(pl.len()) != 380)
    with pytest.warns(UserWarning, match="1 rows inserted in gaps"):
        assert len(package.predict(gap)) == 2 * HORIZON
    with pytest.warns(UserWarning, match="columns not read: wind"):
        package.predict(table.with_columns(wind=1.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.rename({"c1": "C1"}), "c1: no such column .target.*; 'C1' is near"),
        (lambda table: table.drop("time"), "time: no such column .time."),
        (lambda table: table.with_columns(c0=pl.lit("much")), "'c0' holds 'much' in row 1"),
        (lambda table: table.with_columns(c0=pl.col("time").str.to_datetime()), "'c0' holds Datetime"),
        (lambda table: table.head(0), "no rows"),
        (
            lambda table: table.with_columns(pl.col("time") + "Z"),
            "times in UTC given, the model was trained on times without",
        ),
        (lambda table: table.with_columns(time=pl.int_range(pl.len())), "the time column 'time' holds Int64"),
        (lambda table: table.with_columns(c0=None), "max|no number"),
        (lambda table: pl.concat([table, table]), "50.0% of the data would be dropped"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_with_the_reason(
    package: Package, table: pl.DataFrame, change: Callable[[pl.DataFrame], pl.DataFrame], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        package.predict(change(table))


def test_too_little_history_is_a_rejected_row(package: Package, table: pl.DataFrame) -> None:
    with pytest.raises(BadRowsError, match="47 rows up to .*, 48 are needed"):
        package.predict(table.tail(LOOK_BACK - 1))
    with pytest.raises(BadRowsError, match="no row at 2031"):
        package.predict(table, at=[datetime(2031, 1, 1)])
    with pytest.raises(RequestError, match="at: 'first' given, allowed are 'last', 'all'"):
        package.predict(table, at="first")


def test_windows_cut_by_the_caller_are_still_answered(package: Package, table: pl.DataFrame) -> None:
    past = table.select("c1", "c0").tail(LOOK_BACK).to_numpy()[None]
    future = np.zeros((1, LOOK_BACK + HORIZON, 2))
    assert package.predict({"past": past, "future_covariates": future})["forecast"].shape == (1, HORIZON, 2)
    with pytest.raises(RequestError, match="at: given with a request that holds no raw rows"):
        package.predict({"past": past, "future_covariates": future}, at="all")


def test_what_a_client_supplies_is_shown(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["package", "show", str(exported / "package")]) == 0
    shown = capsys.readouterr().out
    assert "at least 48 rows, 1h apart, up to the forecast" in shown
    assert "| c1 | number | target | as in training | yes |" in (exported / "package/MODEL_CARD.md").read_text()


def test_the_csv_of_the_fit_is_scored(
    exported: Path, table: pl.DataFrame, package: Package, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, data = str(exported / "package"), str(exported / "waves.csv")
    capsys.readouterr()
    assert main(["score", folder, data, "--output", "last.parquet"]) == 0
    printed = capsys.readouterr().out
    assert "not read: note" in printed
    assert "last.parquet (24 rows)" in printed
    scored = pl.read_parquet("last.parquet")
    assert scored.columns == ["time", "channel", "forecast", "model_version", "scored_at"]
    assert_same(scored.select("time", "channel", "forecast"), package.predict(table))
    times = "2024-01-05T07:00:00,2024-01-06T00:00:00,2031-01-01"
    table.write_parquet("waves.parquet")
    assert main(["score", folder, "waves.parquet", "--output", "at.parquet", "--at", times]) == 1
    assert "1 of 3 answers cannot be given, 0 are allowed" in capsys.readouterr().err
    assert "no row at 2031" in pl.read_parquet("at.rejected.parquet")["reason"][0]
    assert not Path("at.parquet").exists()
    options = ["--at", times, "--max-rejected", "1", "--overwrite"]
    assert main(["score", folder, "waves.parquet", "--output", "at.parquet", *options]) == 0
    assert pl.read_parquet("at.parquet")["origin"].n_unique() == 2
    capsys.readouterr()
    for options, message in (
        ([], "output: at.parquet exists"),
        (["--engine", "ray", "--overwrite"], "engine: 'ray' given, raw rows with a history are read whole"),
        (["--keys", "note", "--overwrite"], "keys: 'note' given"),
        (["--workers", "2", "--overwrite"], "workers: 2 given"),
    ):
        assert main(["score", folder, data, "--output", "at.parquet", *options]) == 2
        assert message in capsys.readouterr().err
