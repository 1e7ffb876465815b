import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lightning_app.__main__ import main
from tests.conftest import only_run


def test_a_fit_stops_at_its_budget_keeps_its_best_and_is_not_trained_again_with_the_same(
    fit_args: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    started = time.process_time()
    assert main(fit_args("--run.budget", "0.5", "--trainer.max_epochs", "5000")) == 0
    assert 0.5 < time.process_time() - started < 20
    run = only_run(tmp_path / "runs")
    assert "budget: 0.5 CPU seconds are used in epoch" in capsys.readouterr().out
    assert (run / "checkpoints/best.ckpt").exists()
    assert main(["fit", "--ckpt_path", str(run)]) == 0
    assert "nothing left to train" in (said := capsys.readouterr().out)
    assert "run.budget" in said


def test_a_budget_of_nothing_is_refused(fit_args: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(fit_args("--run.budget", "0")) == 2
    assert "run.budget: 0" in capsys.readouterr().err
    assert main(fit_args("--run.budget", "5", verb="test")) == 2
    assert "run.budget" in capsys.readouterr().err
