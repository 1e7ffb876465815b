"""A sweep one of whose processes is killed: nothing is lost, and all comes out as without."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from benchmarks.programs.sweep_kills import children
from lightning_app.__main__ import main
from sweeps.storage.study_storage import open_storage
from tests.sweeps.execution.test_hosts import started, wait_for
from tests.sweeps.execution.test_hosts import sweep as sweep  # the fixture

OPTIONS = ("--trials", "2", "--workers", "2", "--lease", "600")  # nobody waits for the end of a lease


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, list[float | None]]:
    """Values of the sweep in peace, once they are known."""
    return {}


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["trial", "fork server", "coordinator"])
def test_a_killed_process_loses_no_trial_and_changes_no_value(
    victim: str, sweep: Callable[..., list[str]], tmp_path: Path, undisturbed: dict[str, list[float | None]]
) -> None:
    folder = tmp_path / "runs" / "sweeps" / "shared"
    args = sweep(*OPTIONS, "--root", str(tmp_path / "runs"), epochs=40)
    with started(args, tmp_path / "log") as command:
        wait_for(lambda: len(list(folder.glob("trials/*/*/checkpoints/last.ckpt"))) == 2)
        (server,) = children(command.pid)
        process = {"trial": children(server)[0], "fork server": server, "coordinator": command.pid}[victim]
        os.kill(process, signal.SIGKILL)
        code = command.wait(timeout=200)
    if code != 0:
        assert victim == "coordinator"
        resumed = sweep(*OPTIONS, "--resume", "--root", str(tmp_path / "runs"), epochs=40)
        assert main(resumed) == 0
    trials = optuna.load_study(study_name="shared", storage=open_storage(None, folder)).trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 2
    assert [len(trial.intermediate_values) for trial in trials] == [40, 40]
    if not undisturbed:
        assert main(sweep(*OPTIONS, "--root", str(tmp_path / "peace"), epochs=40)) == 0
        peace = tmp_path / "peace" / "sweeps" / "shared"
        study = optuna.load_study(study_name="shared", storage=open_storage(None, peace))
        undisturbed["values"] = [trial.value for trial in study.trials]
    assert [trial.value for trial in trials] == undisturbed["values"]


@pytest.mark.slow
def test_ctrl_c_saves_trials_whose_loaders_have_processes_of_their_own(
    sweep: Callable[..., list[str]], tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "sweeps" / "shared"
    args = [*sweep(*OPTIONS, "--root", str(tmp_path / "runs"), epochs=200), "--data.num_workers", "1"]
    with started(args, tmp_path / "log") as command:
        wait_for(lambda: len(list(folder.glob("trials/*/*/checkpoints/last.ckpt"))) == 2)
        command.send_signal(signal.SIGINT)
        assert command.wait(timeout=100) == 130, (tmp_path / "log").read_text()
    study = optuna.load_study(study_name="shared", storage=open_storage(None, folder))
    assert [trial.state for trial in study.trials] == [TrialState.RUNNING] * 2
    assert all(0 < trial.user_attrs["seconds"] < 100 for trial in study.trials)
