"""What really reaches W&B, read back from the offline log."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lightning_app.__main__ import main
from lightning_app.runs.offline_runs import read_offline_run
from lightning_app.runs.run_folder import RunFolder, RunOptions
from lightning_app.runs.tracking import wandb_logger, wandb_mode
from tests.conftest import only_run
from tests.forked import run_forked


def fit_offline(args: list[str], home: Path) -> tuple[int, str]:
    """A fit as a user without an account runs it: empty home, nothing said about W&B, no terminal."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WANDB")}
    home.mkdir()
    return run_forked(args, environment={**kept, "HOME": str(home)})


def test_an_offline_fit_logs_everything_once_inside_its_run_folder(
    fit_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    code, printed = fit_offline(fit_args(), tmp_path / "home")
    assert code == 0, printed
    folder = only_run(tmp_path / "runs")
    logged = read_offline_run(folder)
    config = logged.config
    assert config["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 0.004
    assert config["lineage"]["data"]["rows"] == 400
    assert set(config) - {"_wandb"} == {"seed_everything", "trainer", "run", "card", "model", "data", "lineage"}
    assert logged.column("val/mse")
    assert logged.state == "finished"
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file() and "matplotlib" not in str(path)]
    assert not (tmp_path / "wandb").exists()


def test_a_failed_fit_is_finished_with_a_non_zero_exit_code(fit_args: Callable[..., list[str]], tmp_path: Path) -> None:
    failing = "--trainer.callbacks+=tests.lightning_app.failing.FailingCallback"
    assert fit_offline(fit_args(failing), tmp_path / "home")[0] == 1
    assert read_offline_run(only_run(tmp_path / "runs")).state == "failed"


def test_a_fit_that_never_started_leaves_nothing(fit_args: Callable[..., list[str]], tmp_path: Path) -> None:
    assert fit_offline(fit_args("--data.look_back", "5000"), tmp_path / "home")[0] == 2
    assert not list((tmp_path / "runs").glob("*/*"))


@pytest.mark.parametrize(
    ("option", "environment", "mode"),
    [
        ("auto", {}, "offline"),
        ("auto", {"WANDB_API_KEY": "0" * 40}, "online"),
        ("auto", {"WANDB_API_KEY": "0" * 40, "WANDB_MODE": "offline"}, "offline"),
        ("auto", {"WANDB_MODE": "disabled"}, "disabled"),
        ("offline", {"WANDB_API_KEY": "0" * 40}, "offline"),
        ("disabled", {"WANDB_MODE": "online"}, "disabled"),
    ],
)
def test_wandb_is_offline_unless_logged_in_or_told_otherwise(
    option: Any, environment: dict[str, str], mode: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wandb_mode(RunOptions(wandb=option)) == mode


def test_a_netrc_entry_counts_as_logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password secret\n")
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert wandb_mode(RunOptions()) == "online"


def test_a_disabled_fit_leaves_no_wandb_folder(fit_args: Callable[..., list[str]], tmp_path: Path) -> None:
    assert main(fit_args("--run.wandb", "disabled", "--trainer.max_steps", "1")) == 0
    assert not list(tmp_path.rglob("*wandb*"))


@pytest.mark.parametrize(("job", "num_runs"), [("trial", 1), ("fit", 2)])
def test_run_folders_of_one_trial_are_one_run_and_those_of_fits_are_not(
    job: str, num_runs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(variable, str(tmp_path))
    jobs = [("first", job), ("second", job), ("second", "test")]  # a test adds to the run of its fit
    loggers = [
        wandb_logger(RunFolder(tmp_path / "trial-00012" / name), RunOptions(wandb="offline"), {}, verb)
        for name, verb in jobs
    ]
    ids = [logger.version for logger in loggers if logger is not None]
    assert ids[0] == "trial-00012-first"
    assert len(set(ids)) == num_runs
    assert ids[1] == ids[2]
