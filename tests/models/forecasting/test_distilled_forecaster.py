"""A student learns from its teacher, and needs it no longer once it is trained."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lightning_app.__main__ import main
from lightning_app.cli.trained_run import TrainedRun
from models import Forecaster
from tests.conftest import load_weights, run_folders

STUDENT = (
    "--model", "DistilledForecaster", "--model.network", "PhaseTransformer", "--model.network.period", "24",
    "--model.loss", "torch.nn.L1Loss", "--model.optimizer", "AdamW", "--model.optimizer.lr", "0.01",
    "--trainer.limit_train_batches", "1.0",
)  # fmt: skip


def distance(one: Forecaster, other: Forecaster) -> float:
    past = torch.randn(64, 48, 2, generator=torch.Generator().manual_seed(0)) + torch.tensor([10.0, 20.0])
    with torch.no_grad():
        return float((one(past) - other(past)).abs().mean())


def forecaster(run: Path) -> Forecaster:
    model = TrainedRun(["--ckpt_path", str(run / "checkpoints/last.ckpt")]).model
    assert isinstance(model, Forecaster)
    return model


@pytest.mark.slow
def test_a_student_of_its_teacher_alone_comes_closer_to_it_and_is_tested_without_it(
    fit_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    assert main(fit_args("--run.name", "teacher")) == 0
    (teacher_run,) = run_folders(tmp_path / "runs")
    teacher = forecaster(teacher_run)
    apart = []
    for weight in ("0", "1"):
        options = ["--run.name", f"student{weight}", "--model.teacher", str(teacher_run)]
        assert main(fit_args(*STUDENT, *options, "--model.teacher_weight", weight)) == 0
        (student_run,) = (tmp_path / "runs" / f"student{weight}").iterdir()
        apart.append(distance(forecaster(student_run), teacher))
    assert apart[1] < apart[0]
    assert not any("teacher" in name for name in load_weights(student_run / "checkpoints/last.ckpt"))
    shutil.rmtree(teacher_run)
    assert main(["test", "--ckpt_path", str(student_run / "checkpoints/last.ckpt")]) == 0


def test_a_teacher_that_does_not_fit_is_refused(
    fit_args: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_args(*STUDENT, "--model.teacher", "none")) == 2
    assert "model.teacher: none is neither a checkpoint" in capsys.readouterr().err
    assert main(fit_args("--run.name", "teacher")) == 0
    (teacher_run,) = (tmp_path / "runs/teacher").iterdir()
    capsys.readouterr()
    assert main(fit_args(*STUDENT, "--model.teacher", str(teacher_run), "--data.horizon", "6")) == 2
    assert "48 rows of 2 channels to 12, the student 48 rows of 2 to 6" in capsys.readouterr().err
