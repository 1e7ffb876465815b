"""What a sweep logs to W&B, read back from the offline logs."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from lightning_app.__main__ import main
from lightning_app.runs.offline_runs import OfflineRun, read_offline_run, read_offline_runs
from lightning_app.runs.run_folder import RunOptions
from sweeps.reporting.study_report import Search, report
from sweeps.reporting.study_run import StudyRun
from tests.conftest import CONFIGS
from tests.sweeps.finished import SPACE, finished_study

PAGE = CONFIGS.parent / "docs" / "sweeps.md"
SEARCH = Search(SPACE, {"val/accuracy": "maximize"}, {"sampler": "tpe"}, {"seed_everything": 0})


def start(folder: Path, search: Search = SEARCH) -> StudyRun:
    options = RunOptions(project="shelf", tags=["mine"])
    return StudyRun(study="planted", folder=folder, search=search, options=options, mode="offline")


@pytest.mark.slow
def test_a_study_that_goes_on_adds_to_its_run_what_is_new(capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("runs/sweeps/cora_gcn").resolve()  # as on the page
    folder.mkdir(parents=True)
    for num_trials in (12, 20):
        study, run = finished_study(num_trials), start(folder)
        run.log(study)
        assert run.finish(study, report(study, SEARCH, folder), exit_code=0), (folder / "study_run.log").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    exec(compile(example, str(PAGE), "exec"), {})
    assert capsys.readouterr().out.startswith(f"finished {{'trial': {study.best_trial.number}")
    logged = read_offline_run(folder)
    assert (logged.group, logged.name, logged.job_type, logged.project) == ("planted", "planted", "study", "shelf")
    assert logged.tags == ("mine",)
    assert logged.state == "finished"
    assert logged.config["base"] == {"seed_everything": 0}
    assert logged.column("trial") == list(range(20))
    assert logged.column("state").count("fail") == 2
    complete = {trial.number for trial in study.trials if trial.state == TrialState.COMPLETE}
    assert {row["trial"] for row in logged.history if "val/accuracy" in row} == complete
    best = logged.column("best_so_far")
    assert best == sorted(best)
    assert best[-1] == study.best_value == logged.summary["best"]["values"]["val/accuracy"]
    assert logged.summary["best"]["parameters"] == study.best_params
    assert set(logged.summary["importances"]["val/accuracy"]) == {"whole space (12 trials)"}
    pictures = [path for path in logged.files if path.suffix == ".png"]
    assert {path.name.split("_")[0] for path in pictures} == {"history", "importances", "parallel", "slices", "curves"}
    assert all(path.exists() for path in pictures)


def test_the_front_of_several_metrics_is_in_the_summary(tmp_path: Path) -> None:
    study = finished_study(12, metrics=2)
    search = Search(SPACE, {"val/accuracy": "maximize", "val/cost": "minimize"})
    assert start(tmp_path, search).finish(study, None, exit_code=1)
    logged = read_offline_run(tmp_path)
    assert logged.state == "failed"
    front = logged.summary["pareto_front"]
    assert {entry["trial"] for entry in front} == {trial.number for trial in study.best_trials}
    assert logged.history[0]["val/cost"] == study.trials[0].values[1]
    assert logged.column("best_so_far") == []


@pytest.mark.slow
def test_the_summary_says_how_the_best_was_chosen(tmp_path: Path) -> None:
    study = finished_study(12)
    candidates = [{"number": -1, "values": [0.9, 0.8], "why": ""}, {"number": 0, "values": [0.7, 0.7], "why": ""}]
    words = {"seeds": [1, 2], "candidates": candidates, "chosen": -1, "num_finished": 12}
    study.set_user_attr("reevaluate", {"top": 1, "seeds": 2})
    study.set_user_attr("reevaluated", words)
    assert start(tmp_path).finish(study, None, exit_code=0)
    best = read_offline_run(tmp_path).summary["best"]
    assert (best["trial"], best["name"], best["value"]) == (None, "base config", "0.85 ± 0.071 (2 seeds)")
    assert best["chosen_by"] == "the mean of 2 fresh seeds (1 to 2), where no trial was better"


def test_a_coordinator_that_is_killed_leaves_a_failed_run_with_its_rows(tmp_path: Path) -> None:
    process = os.fork()
    if process == 0:
        start(tmp_path).log(finished_study(5))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(process, 0)
    logged = wait_for_end(tmp_path)
    assert logged.state == "failed"
    assert logged.column("trial") == list(range(5))


def wait_for_end(folder: Path) -> OfflineRun:
    for _ in range(300):
        if (runs := read_offline_runs(folder)) and runs[0].exit_code is not None:
            return runs[0]
        time.sleep(0.1)
    raise AssertionError((folder / "study_run.log").read_text())


def test_two_writers_never_write_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, first = finished_study(3), start(tmp_path)
    first.log(study)
    while not list(tmp_path.glob("wandb/offline-run-*")):
        time.sleep(0.02)
    assert start(tmp_path).finish(study, None, exit_code=0)  # all is well, and it says so
    assert "another command that works in this folder writes the run" in capsys.readouterr().out
    assert first.finish(study, None, exit_code=0)
    assert read_offline_run(tmp_path).column("trial") == [0, 1, 2]


@pytest.mark.slow
def test_of_two_commands_on_a_folder_the_last_one_completes_the_run(tmp_path: Path) -> None:
    study, first = finished_study(3), start(tmp_path)
    first.log(study)
    while not list(tmp_path.glob("wandb/offline-run-*")):
        time.sleep(0.02)
    second = start(tmp_path)
    second.log(study)
    assert first.finish(study, None, exit_code=0)
    assert second.finish(finished_study(5), None, exit_code=0)
    assert read_offline_run(tmp_path).column("trial") == [0, 1, 2, 3, 4]


_RUNS: list[OfflineRun] = []


@pytest.fixture
def runs(sweep_args: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[OfflineRun]:
    """Of a small sweep with pruning, which runs once for all tests."""
    if not _RUNS:
        monkeypatch.setenv("WANDB_MODE", "offline")
        assert main(sweep_args("--trials", "2", "--workers", "2", pruner="median", fit=("--run.project", "shelf"))) == 0
        _RUNS.extend(read_offline_runs(tmp_path / "runs"))
    return _RUNS


@pytest.mark.slow
def test_a_sweep_is_one_run_for_the_study_and_one_for_each_trial(runs: list[OfflineRun]) -> None:
    (study,) = (run for run in runs if run.job_type == "study")
    trials = [run for run in runs if run is not study]
    assert len(trials) == 2
    assert {run.group for run in runs} == {"small_space"}
    assert {run.project for run in runs} == {"shelf"}
    assert {run.state for run in runs} == {"finished"}
    best = study.summary["best"]
    (run,) = (run for run in trials if f"trial-{best['trial']:05d}" in run.name)
    assert min(run.column("val/mse")) == best["values"]["val/mse"]
    optimizer: Any = run.config["model"]["init_args"]["optimizer"]["init_args"]
    assert optimizer["lr"] == best["parameters"]["model.optimizer.lr"]
    assert study.config["base"]["model"]["class_path"].endswith("Forecaster")


@pytest.mark.slow
def test_runs_of_trials_say_what_they_are_and_how_they_ended(runs: list[OfflineRun]) -> None:
    trials = [run for run in runs if run.job_type == "trial"]
    assert len(trials) == 2
    assert all({"completed", "pruned"} & set(run.tags) for run in trials)


@pytest.mark.slow
def test_after_ctrl_c_there_is_a_report_and_a_finished_run_that_go_on(
    sweep_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    args = sweep_args("--trials", "2", fit=("--trainer.max_epochs", "120"))
    environment = {**os.environ, "WANDB_MODE": "offline", "PYTHONPATH": str(CONFIGS.parent)}
    folder = tmp_path / "runs" / "sweeps" / "small_space"
    with subprocess.Popen([sys.executable, "-m", "lightning_app", *args], env=environment) as process:
        for _ in range(1200):
            if list(folder.glob("trials/*/*/checkpoints/last.ckpt")):
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 130
    assert "Trials: 1 running." in (folder / "report.md").read_text()
    (study,) = (run for run in read_offline_runs(folder) if run.job_type == "study")
    assert study.state == "finished"
    assert study.column("trial") == []
    short = sweep_args("--trials", "1", "--resume", fit=("--trainer.max_epochs", "120"))
    assert subprocess.run([sys.executable, "-m", "lightning_app", *short], env=environment, check=False).returncode == 0
    (study,) = (run for run in read_offline_runs(folder) if run.job_type == "study")
    assert study.column("trial") == [0]
    (trial,) = (run for run in read_offline_runs(folder) if run.job_type == "trial")  # of two run folders
    assert trial.state == "finished"
    assert len(list(folder.glob("trials/*/*/config.yaml"))) == 2
    assert "Trials: 1 complete." in (folder / "report.md").read_text()
