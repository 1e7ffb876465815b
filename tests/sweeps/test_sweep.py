"""Whole sweeps through the command line, on fits that take a second."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import polars as pl
import pytest
import torch
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from lightning_app.__main__ import main
from tests.conftest import CONFIGS, load_weights
from tests.sweeps.conftest import SPACE


def study_of(tmp_path: Path) -> optuna.Study:
    folder = tmp_path / "runs" / "sweeps" / "small_space"
    storage = JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    return optuna.load_study(study_name=None, storage=storage)  # there is no other


@pytest.mark.slow
def test_a_sweep_goes_on_to_its_number_of_trials_and_its_best_can_be_fitted_again(
    sweep_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    twice = ("--trainer.val_check_interval", "2")  # of five batches: two validations in each of two epochs
    assert main(sweep_args("--trials", "3", "--workers", "2", fit=twice)) == 0
    assert main(sweep_args("--trials", "4")) == 2  # it is there already
    assert main(sweep_args("--trials", "4", "--resume", "--study", "smal_space")) == 2  # it is not
    assert main(sweep_args("--trials", "4", "--resume", fit=twice)) == 0
    study = study_of(tmp_path)
    assert (study.study_name, study.metric_names) == ("small_space", ["val/mse"])
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 4
    assert [list(trial.intermediate_values) for trial in study.trials] == [[0, 1, 2, 3]] * 4
    assert len({trial.params["model.optimizer.lr"] for trial in study.trials}) == 4
    folder = tmp_path / "runs" / "sweeps" / "small_space"
    text = (folder / "report.md").read_text()
    assert "Trials: 4 complete." in text
    (checkpoint,) = re.findall(r"lightning-app test --ckpt_path (\S+)", text)
    assert Path(checkpoint).exists()
    table = pl.read_parquet(folder / "trials.parquet")
    assert table["model.optimizer.lr"].to_list() == [trial.params["model.optimizer.lr"] for trial in study.trials]
    assert table["val/mse"].to_list() == [trial.value for trial in study.trials]
    assert all((Path(run) / "config.yaml").exists() for run in table["folder"])
    assert main(["fit", "-c", str(folder / "best.yaml"), "--run.root", str(tmp_path / "again")]) == 0
    (trial,) = (folder / "trials" / f"trial-{study.best_trial.number:05d}").glob("*/checkpoints/best.ckpt")
    (again,) = (tmp_path / "again").glob("*/*/checkpoints/best.ckpt")
    assert again.parts[-4] == "small"  # the stem of the config that was varied, as of any fit of it
    for name, weight in load_weights(trial).items():
        assert weight.equal(load_weights(again)[name]), name


@pytest.mark.slow
def test_a_trial_that_cannot_be_started_fails_alone(sweep_args: Callable[..., list[str]], tmp_path: Path) -> None:
    assert main(sweep_args("--trials", "1")) == 0
    logs = tmp_path / "runs" / "sweeps" / "small_space" / "logs"
    (logs / "trial-00001.log").symlink_to(tmp_path / "nowhere" / "trial.log")
    main(sweep_args("--trials", "3", "--resume"))
    trials = study_of(tmp_path).trials
    assert [trial.state for trial in trials[:3]] == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]


@pytest.mark.slow
def test_a_metric_that_does_not_pick_the_checkpoint_is_said_and_can_be_made_to(
    sweep_args: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space, url = SPACE.replace("PRUNER", "none").replace("val/mse", "val/mae"), f"journal://{tmp_path}/study.log"
    args = {"space": space, "fit": ("--trainer.max_epochs", "1")}
    assert main(sweep_args("--trials", "1", "--storage", url, **args)) == 0
    said = "warning: trials are ranked by val/mae (min), but their best.ckpt is kept by val/mse (min)"
    assert said in capsys.readouterr().err
    options = ("--trials", "2", "--storage", url, "--resume", "--checkpoint-by-metric")
    assert main(sweep_args(*options, **args)) == 0
    assert "best.ckpt is kept by" not in capsys.readouterr().err
    folder = tmp_path / "runs" / "sweeps" / "small_space"
    (path,) = folder.glob("trials/trial-00001/*/checkpoints/best.ckpt")
    states = torch.load(path, weights_only=True)["callbacks"].values()
    kept = [(state["monitor"], float(state["best_model_score"])) for state in states if state.get("monitor")]
    study = optuna.load_study(study_name="small_space", storage=JournalStorage(JournalFileBackend(url[10:])))
    assert kept == [("val/mae", study.trials[1].value)]
    config = yaml.safe_load((path.parent.parent / "config.yaml").read_text())
    assert any(callback["init_args"].get("monitor") == "val/mae" for callback in config["trainer"]["callbacks"])


@pytest.mark.slow
def test_a_study_does_not_go_on_over_other_data_in_the_same_file_unless_told_to(
    sweep_args: Callable[..., list[str]], table_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = ("--trainer.max_epochs", "1")
    assert main(sweep_args("--trials", "1", fit=fit)) == 0
    table = pl.read_csv(table_file)
    table.with_columns(pl.col(pl.Float64) * 2).write_csv(table_file)
    assert main(sweep_args("--trials", "2", "--resume", fit=fit)) == 2
    assert f"data: changed since study 'small_space' was begun: {table_file} (sha256 " in capsys.readouterr().err
    assert len(study_of(tmp_path).trials) == 1
    assert main(sweep_args("--trials", "2", "--resume", "--allow-changed-data", fit=fit)) == 0
    assert "has changed since the study was begun; values of its trials may not compare" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("storage", "study", "message"),
    [
        ("study.log", "smal_space", "has no 'smal_space' to go on with, did you mean 'small_space'?"),
        ("stud.log", "small_space", "stud.log to go on with, did you mean 'study.log'?"),
        ("study.log", "moved", "give its --storage"),
    ],
)
def test_a_study_to_resume_that_is_not_in_the_storage_is_not_begun(
    storage: str,
    study: str,
    message: str,
    sweep_args: Callable[..., list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    journal = JournalStorage(JournalFileBackend(str(tmp_path / "study.log")))
    optuna.create_study(storage=journal, study_name="small_space")
    (tmp_path / "runs" / "sweeps" / "moved" / "trials" / "trial-00000").mkdir(parents=True)
    args = sweep_args("--trials", "1", "--resume", "--study", study, "--storage", f"journal://{tmp_path}/{storage}")
    assert main(args) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "stud.log").exists()
    assert optuna.get_all_study_names(journal) == ["small_space"]


@pytest.mark.slow
def test_trials_without_prospects_are_pruned(
    sweep_args: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # With these last two step sizes nothing is learned, which their first epoch shows.
    space = """
metrics: {val/mse: minimize}
sampler: grid
pruner: {name: median, n_startup_trials: 2}
space:
  model.optimizer.lr: {type: categorical, choices: [0.02, 0.01, 1.0e-8, 1.0e-9]}
"""
    assert main(sweep_args("--trials", "4", space=space, fit=("--trainer.max_epochs", "3"))) == 0
    trials = study_of(tmp_path).trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 2 + [TrialState.PRUNED] * 2
    assert [len(trial.intermediate_values) for trial in trials] == [3, 3, 1, 1]
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("trial 3 pruned: "))
    assert f"last val/mse {trials[3].intermediate_values[0]:.6g} in " in line
    assert not [path for path in tmp_path.rglob("*") if "wandb" in path.name or "study_run" in path.name]


@pytest.mark.slow
def test_what_a_killed_coordinator_was_at_is_taken_up_again(
    sweep_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    options, fit = ("--trials", "3", "--workers", "2", "--lease", "2"), ("--trainer.max_epochs", "60")
    args = sweep_args(*options, fit=fit)
    command = [sys.executable, "-m", "lightning_app", *args]
    environment = {**os.environ, "PYTHONPATH": str(CONFIGS.parent), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        folder = tmp_path / "runs" / "sweeps" / "small_space"
        for _ in range(600):
            if len(list(folder.glob("trials/*/*/checkpoints/last.ckpt"))) == 2:
                break
            time.sleep(0.1)
        process.kill()
    assert TrialState.RUNNING in [trial.state for trial in study_of(tmp_path).trials]
    short = sweep_args(
        "--trials", "3", "--workers", "2", "--resume", "--lease", "1", fit=("--trainer.max_epochs", "60")
    )
    time.sleep(2)
    assert main(short) == 0
    trials = study_of(tmp_path).trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 3


def test_a_dry_run_shows_what_trials_change_and_makes_nothing(
    sweep_args: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Another class takes arguments away, brings its own along, and needs what varies with it.
    space = """
metrics: {val/mse: minimize}
sampler: grid
space:
  model.network: {type: class, choices: [PhaseTransformer, CascadedMLP]}
  model.network.norm: {type: class, choices: [NORM], when: {model.network: CascadedMLP}}
  model.network.norm.mode: {type: categorical, choices: [std], when: {model.network.norm: NORM}}
"""
    assert main(sweep_args("--dry-run", space=space.replace("NORM", "models.layers.ReversibleNorm"))) == 0
    rows = [[cell.strip() for cell in line.split("│")] for line in capsys.readouterr().out.splitlines() if "│" in line]
    table = {key: cells for _, key, *cells, _ in rows}
    assert table["model.network"] == ["models.PhaseTransformer", "", "models.CascadedMLP"]
    assert table["model.network.period"] == ["24", "", "-"]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("change", "reason", "count"),
    [
        pytest.param("sampler: auto", "every point of the space was tried", 2, marks=pytest.mark.slow),
        pytest.param(
            "sampler: random\nstop: {patience: 1, min_delta: 1.0e+6}", "no new best", 2, marks=pytest.mark.slow
        ),
    ],
)
def test_a_sweep_ends_when_there_is_nothing_to_gain(
    change: str,
    reason: str,
    count: int,
    sweep_args: Callable[..., list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    space = SPACE.replace("sampler: random", change).replace("PRUNER", "none")
    lines = [line for line in space.splitlines() if "optimizer" not in line or "stop" in change]
    args = sweep_args("--trials", "5", space="\n".join(lines), fit=("--trainer.max_epochs", "1"))
    assert main(args) == 0
    assert len(study_of(tmp_path).trials) == count
    printed = capsys.readouterr().out
    assert f"no further trials: {reason}" in printed
    assert "stop" in change or "sampler: grid, as of: the space has 2 points" in printed
    if "stop" in change:
        assert main([*args[:7], "--resume", *args[7:]]) == 0
        assert len(study_of(tmp_path).trials) == count


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(("hidden_size", "hiden_size"), "did you mean 'hidden_size'?", marks=pytest.mark.slow),
        (("low: 0.0005, ", ""), "space.model.optimizer.lr.low: None given, float is needed"),
        pytest.param(("[4, 8]", "[4, eight]"), "space.model.network.hidden_size: 'eight'", marks=pytest.mark.slow),
        (("low: 0.0005", "when: {model.network.hidden_siz: 4}, low: 0.001"), "mean 'model.network.hidden_size'?"),
        (("pruner: none", "prunner: none"), "prunner: no such key of a sweep, did you mean 'pruner'?"),
        (("val/mse: minimize", "val/mse: min"), "metrics.val/mse: 'min' given, did you mean 'minimize'?"),
        (("sampler: random", "sampler: radnom"), "sampler: 'radnom' given, did you mean 'random'?"),
        (("pruner: none", "pruner: hyperbnd"), "pruner: 'hyperbnd' given, did you mean 'hyperband'?"),
        (("sampler: random", "sampler: cmaes\nseed: -1"), "seed: -1 given"),
        (("pruner: none", "pruner: {name: hyperband, reduction_factor: 1}"), "a whole number from 2 on is needed"),
        (("sampler: random", "sampler: {name: cmaes, popsize: 2.5}"), "sampler.popsize: 2.5 given, a whole number"),
        (("sampler: random", "sampler: random\nconstraints: {lateny: 1}"), "did you mean 'latency'?"),
        pytest.param(("val/mse", "val/accuracy"), "'val/accuracy' is not logged at validation", marks=pytest.mark.slow),
    ],
)
def test_what_is_wrong_in_a_sweep_is_said_in_one_line(
    change: tuple[str, str],
    message: str,
    sweep_args: Callable[..., list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(sweep_args("--trials", "1", space=SPACE.replace("PRUNER", "none").replace(*change))) == 2
    assert message in capsys.readouterr().err
