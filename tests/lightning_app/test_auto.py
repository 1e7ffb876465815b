"""Automatic forecasting from the command line: `auto.yaml` on a table of the user."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml

from lightning_app.__main__ import main
from lightning_app.packaging import Package
from tests.conftest import CONFIGS, only_run, waves

AUTO = str(CONFIGS / "forecasting/auto.yaml")
SMALL = """
seed_everything: 3
trainer: {max_epochs: 1, accelerator: cpu, log_every_n_steps: 1}
model:
  class_path: AutoForecaster
  init_args:
    loss: torch.nn.MSELoss
    candidates:
      repeat_last: {network: RepeatLast, loss: torch.nn.MSELoss}
      ridge:
        forecaster: RidgeForecaster
        network:
          class_path: models.baselines.ridge.FixedLinear
          init_args: {norm: {class_path: ReversibleNorm, init_args: {mode: mean}}}
        loss: torch.nn.MSELoss
      linear:
        network:
          class_path: WindowLinear
          init_args: {norm: {class_path: ReversibleNorm, init_args: {mode: last}}}
        loss: torch.nn.L1Loss
        optimizer: {class_path: AdamW, init_args: {lr: 0.01}}
        scheduler: OneCycle
        callbacks: [WeightAverage]
        look_back: 30
        batch_size: 32
        epochs: 3
      patch:
        network:
          class_path: ITransformer
          init_args:
            {hidden_size: 8, feed_forward_size: 8, num_layers: 1, num_heads: 2,
             norm: {class_path: ReversibleNorm, init_args: {mode: std}}}
        loss: torch.nn.L1Loss
        optimizer: {class_path: AdamW, init_args: {lr: 0.01}}
        epochs: 1
data:
  class_path: ForecastingDataModule
  init_args:
    series: {class_path: TableFile, init_args: {path: waves.csv, frequency: auto}}
    look_back: 60
    horizon: 6
"""


@pytest.fixture
def small() -> str:
    waves().write_csv("waves.csv")
    Path("small.yaml").write_text(SMALL)
    return "small.yaml"


def candidates(run: Path) -> dict[str, dict[str, object]]:
    return json.loads((run / "candidates.json").read_text())["candidates"]


def test_the_config_needs_a_table_alone_and_a_tiny_budget_leaves_the_closed_forms(
    capsys: pytest.CaptureFixture[str],
) -> None:
    waves(rows=500).write_csv("my.csv")
    assert main(["fit", "-c", AUTO, "--data.series.path", "my.csv", "--run.budget", "0.01"]) == 0
    said = capsys.readouterr().out
    assert "found in my.csv: time_column time, time_format ISO 8601, frequency 1h" in said
    run = only_run(Path("runs"))
    found = candidates(run)
    outcomes = {name: record["outcome"] for name, record in found.items()}
    assert outcomes["repeat_last"] == outcomes["ridge"] == "finished"
    assert {outcomes[name] for name in ("linear", "phase", "nhits")} == {"skipped"}
    assert "no budget is left" in said
    data = yaml.safe_load((run / "config.yaml").read_text())["data"]["init_args"]
    assert data["horizon"] == 10  # the 41 windows of the 50 rows of validation span four of them
    assert data["series"]["init_args"]["frequency"] == "1h"
    assert main(["test", "--ckpt_path", str(run)]) == 0
    assert "ridge" in (run / "report.md").read_text()
    assert main(["predict", "--ckpt_path", str(run)]) == 0
    assert len(pl.read_parquet(run / "predictions.parquet")) == 2 * 10


@pytest.mark.slow
def test_all_candidates_are_fitted_without_a_budget_and_the_package_answers_as_the_run(
    small: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "-c", small]) == 0
    run = only_run(Path("runs"))
    found = candidates(run)
    assert [record["outcome"] for record in found.values()] == ["finished"] * 4
    assert found["linear"]["look_back"] == 30
    metrics = json.loads((run / "metrics.json").read_text())
    assert {f"val/{name}/mse" for name in found} < set(metrics)
    assert (run / "candidates.png").exists()
    assert main(["test", "--ckpt_path", str(run)]) == 0
    assert main(["export", str(run), "--output", "package"]) == 0
    assert main(["predict", "--ckpt_path", str(run)]) == 0
    answer = Package.load("package").predict(pl.read_csv("waves.csv", try_parse_dates=True))
    expected = pl.read_parquet(run / "predictions.parquet").sort("channel", "time")
    np.testing.assert_allclose(answer.sort("channel", "time")["forecast"], expected["forecast"], rtol=1e-4)


@pytest.mark.slow
def test_a_killed_fit_goes_on_with_the_next_candidate(
    small: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from models.baselines.window_linear import WindowLinear

    assert main(["fit", "-c", small, "--run.name", "whole"]) == 0

    def die(self: WindowLinear, past: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(WindowLinear, "forward", die)
        assert main(["fit", "-c", small, "--run.name", "killed"]) != 0
    (killed,) = Path("runs/killed").iterdir()
    capsys.readouterr()
    assert main(["fit", "--ckpt_path", str(killed)]) == 0
    said = capsys.readouterr().out
    assert said.count("kept from the run that this one continues") == 2
    (whole,) = Path("runs/whole").iterdir()
    (_, resumed) = sorted(Path("runs/killed").iterdir())
    assert [record["val_mse"] for record in candidates(resumed).values()] == pytest.approx(
        [record["val_mse"] for record in candidates(whole).values()], rel=1e-5
    )


@pytest.mark.slow
def test_on_a_random_walk_repeat_last_keeps_most_of_the_weight() -> None:
    rng = np.random.default_rng(1)
    days = [datetime(2000, 1, 1) + timedelta(days=step) for step in range(1500)]
    pl.DataFrame({"day": days, "price": 100 + rng.standard_normal(1500).cumsum()}).write_csv("my.csv")
    assert main(["fit", "-c", AUTO, "--data.series.path", "my.csv", "--run.budget", "0.01"]) == 0
    run = only_run(Path("runs"))
    found = candidates(run)
    assert found["repeat_last"]["weight"] > 0.5
    assert sum(record["weight"] for record in found.values()) == pytest.approx(1)
    assert "taken by half" in (run / "candidates.md").read_text()


def test_covariates_reach_the_candidates_that_take_them_and_the_others_say_that_they_ignore_them(
    small: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "-c", small, "--data.calendar", "[hour]"]) == 0
    said = capsys.readouterr().out
    found = candidates(only_run(Path("runs")))
    assert found["linear"]["remark"] == "it ignores known-future covariates"
    assert found["patch"]["remark"] == ""
    assert "it ignores known-future covariates" in said


@pytest.mark.slow
def test_a_short_table_leaves_out_what_does_not_fit_and_says_why() -> None:
    waves(rows=60, channels=1).write_csv("my.csv")
    assert main(["fit", "-c", AUTO, "--data.series.path", "my.csv", "--run.budget", "0.01"]) == 0
    run = only_run(Path("runs"))
    found = candidates(run)
    assert found["repeat_last"]["outcome"] == "finished"
    assert found["seasonal_naive"]["outcome"] == "left out"
    assert found["seasonal_naive"]["remark"] == "it needs a season, and none was found"
    assert main(["predict", "--ckpt_path", str(run)]) == 0


def test_columns_that_count_rows_or_hold_one_value_are_named_before_they_are_forecast(
    capsys: pytest.CaptureFixture[str],
) -> None:
    waves(rows=60).with_row_index("id").with_columns(flag=pl.lit(1.0)).write_csv("my.csv")
    assert main(["fit", "-c", AUTO, "--data.series.path", "my.csv", "--run.budget", "0.01"]) == 0
    said = capsys.readouterr().out
    assert "flag (one value); id (the same step in each row, as ids have)" in said
    assert "--data.series.exclude '[flag, id]'" in said


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--trainer.max_epochs", "2"), "trainer.max_epochs"),
        pytest.param(("--trainer.gradient_clip_val", "1"), "gradient_clip", marks=pytest.mark.slow),
        (("--model.leave_out", "[nothing]"), "repeat_last"),
    ],
)
def test_options_without_a_meaning_are_refused(
    small: str, option: tuple[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "-c", small, *option]) != 0
    assert message in capsys.readouterr().err


def test_a_table_with_two_columns_of_times_is_refused_by_their_names(
    small: str, capsys: pytest.CaptureFixture[str]
) -> None:
    waves(rows=100).with_columns(sent=pl.col("time")).write_csv("my.csv")
    assert main(["fit", "-c", small, "--data.series.path", "my.csv"]) == 2
    assert "'time', 'sent' hold times" in capsys.readouterr().err
