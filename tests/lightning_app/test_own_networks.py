"""Networks of one's own through the command line: shapes, levels of quantiles, losses that are no number."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch

from lightning_app.__main__ import main
from models import RidgeForecaster
from tests.conftest import only_run

FitArgs = Callable[..., list[str]]


def test_a_forecast_that_would_be_broadcast_ends_the_fit_before_its_first_step(
    fit_args: FitArgs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_args("--model.network=tests.own_networks.OneStep")) == 2
    said = capsys.readouterr().err
    assert "model.network: OneStep gives (16, 1, 2), expected is a tensor (any, 12, 2) = (batch, horizon" in said


def test_the_levels_of_an_own_network_reach_predictions_and_package(fit_args: FitArgs, tmp_path: Path) -> None:
    own = ("--model.network=tests.own_networks.Spread", "--model.loss=PinballLoss", "--model.loss.quantiles=[.2,.5,.8]")
    assert main(fit_args(*own, "--trainer.max_epochs=1")) == 0
    folder = only_run(tmp_path / "runs")
    checkpoint = str(folder / "checkpoints" / "best.ckpt")
    assert main(["predict", "--ckpt_path", checkpoint, "--trust", "tests.own_networks"]) == 0
    assert pl.read_parquet(folder / "predictions.parquet").columns == ["time", "channel", "q0.2", "q0.5", "q0.8"]
    assert main(["export", str(folder), "--output", "package", "--", "--trust", "tests.own_networks"]) == 0
    (forecast,) = json.loads(Path("package/manifest.json").read_text())["outputs"]
    assert forecast["levels"] == [0.2, 0.5, 0.8]


def test_a_fit_whose_loss_is_no_number_fails_and_says_the_step(
    fit_args: FitArgs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_args("--model.optimizer.lr=1e30", "--model.scheduler=null")) == 1
    said = capsys.readouterr().err
    assert "DivergedError: the training loss is nan in step" in said
    assert "the model has diverged: lower the learning rate" in said
    assert not (only_run(tmp_path / "runs") / "checkpoints" / "best.ckpt").exists()


def test_a_model_that_logs_its_own_validation_loss_is_checked_and_not_called_empty(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = ["fit", "-c", "forecasting/co2_ridge"]
    assert main(fit) == 0
    assert "held no value" not in capsys.readouterr().err
    log_dict, nan = RidgeForecaster.log_dict, torch.tensor(float("nan"))
    all_nan = lambda self, values, **options: log_dict(self, dict.fromkeys(values, nan), **options)  # noqa: E731
    monkeypatch.setattr(RidgeForecaster, "log_dict", all_nan)
    assert main(fit) == 1
    assert "DivergedError: val/loss is nan" in capsys.readouterr().err
