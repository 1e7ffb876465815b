"""Several commands that work on one study, as on several hosts."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from lightning_app.__main__ import main
from sweeps.storage.claims import claims_of
from sweeps.storage.study_storage import open_storage
from tests.postgres import needs_postgres
from tests.sweeps.conftest import PROCESS

SPACE = """
metrics: {val/mse: minimize}
sampler: random
pruner: none
space:
  model.network.hidden_size: {type: categorical, choices: [4, 8]}
  model.optimizer.lr: {type: float, low: 0.0005, high: 0.02, log: true}
"""


@pytest.fixture
def sweep(fit_args: Callable[..., list[str]], tmp_path: Path) -> Callable[..., list[str]]:
    """Arguments of a sweep over the small forecasting config."""

    def args(*options: str, epochs: int = 1) -> list[str]:
        file = tmp_path / "small_space.yaml"
        file.write_text(SPACE)
        _, config, path, *_ = fit_args()
        words = ["sweep", config, path, "--space", str(file), "--study", "shared", *options]
        return [*words, "--", "--trainer.max_epochs", str(epochs)]

    return args


@contextmanager
def started(args: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command in the background, in a session of its own, which is gone afterwards."""
    command: list[str] = [sys.executable, "-m", "lightning_app", *args]
    options: dict[str, Any] = {"env": {**os.environ, **PROCESS}, "start_new_session": True}
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(condition: Callable[[], object], seconds: float = 90) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it does not come to pass"
        time.sleep(0.1)


@pytest.mark.slow
def test_a_data_base_that_is_not_there_is_one_line_and_leaves_nothing_to_resume(
    sweep: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("psycopg", reason="PostgreSQL needs the extra postgres")
    root = tmp_path / "runs"
    assert main(sweep("--root", str(root), "--storage", "postgresql://me:secret@127.0.0.1:9/base")) == 1
    error = capsys.readouterr().err
    assert "cannot be reached" in error
    assert "Traceback" not in error
    assert "secret" not in error
    assert not root.exists()


@pytest.mark.slow
@needs_postgres
@pytest.mark.parametrize("url", ["postgresql", "grpc"], indirect=True)
def test_two_hosts_share_the_trials_of_one_study(url: str, sweep: Callable[..., list[str]], tmp_path: Path) -> None:
    options = ("--storage", url, "--trials", "8", "--study", f"study at {url.split(':')[0]}")
    with (
        started(sweep(*options, "--root", str(tmp_path / "one")), tmp_path / "one.log") as one,
        started(sweep(*options, "--root", str(tmp_path / "two")), tmp_path / "two.log") as two,
    ):
        assert one.wait(timeout=240) == 0, (tmp_path / "one.log").read_text()
        assert two.wait(timeout=60) == 0, (tmp_path / "two.log").read_text()
    study = optuna.load_study(study_name=options[-1], storage=open_storage(url, tmp_path))
    trials = [trial for trial in study.trials if not trial.user_attrs.get("why", "").startswith("surplus")]
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 8
    assert len({trial.params["model.optimizer.lr"] for trial in trials}) == 8
    ran = [{folder.name for folder in (tmp_path / host).glob("sweeps/*/trials/*")} for host in ("one", "two")]
    assert ran[0]
    assert ran[1]
    assert not ran[0] & ran[1]
    assert len(ran[0] | ran[1]) == 8


@pytest.mark.slow
def test_a_paused_coordinator_gives_its_trials_up_to_the_one_that_took_them(
    sweep: Callable[..., list[str]], tmp_path: Path
) -> None:
    options = ("--root", str(tmp_path / "runs"), "--trials", "2", "--lease", "2")
    folder = tmp_path / "runs" / "sweeps" / "shared"
    with started(sweep(*options, epochs=40), tmp_path / "one.log") as one:
        wait_for(lambda: list(folder.glob("trials/*/*/checkpoints/last.ckpt")))
        os.kill(one.pid, signal.SIGSTOP)
        with started(sweep(*options, "--resume", epochs=40), tmp_path / "two.log") as two:
            assert two.wait(timeout=200) == 0, (tmp_path / "two.log").read_text()
            os.kill(one.pid, signal.SIGCONT)
            assert one.wait(timeout=90) == 0, (tmp_path / "one.log").read_text()
    study = optuna.load_study(study_name="shared", storage=open_storage(None, folder))
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 2
    assert all(len(trial.intermediate_values) == 40 for trial in study.trials)
    claims = claims_of(study).trials
    owners = {claim.user_attrs["claim"]["owner"] for claim in claims if claim.user_attrs["claim"]["trial"] == 0}
    assert len(owners) == 2
