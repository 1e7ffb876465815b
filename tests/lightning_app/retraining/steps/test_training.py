"""Training of a cycle as processes of this machine: a fit and an export, attempts, deadlines, kills, warm starts."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from lightning_app.__main__ import main
from lightning_app.retraining.cycles import Cycle
from lightning_app.retraining.executors import Failed, Job, Running
from lightning_app.retraining.executors.local import LocalExecutor
from lightning_app.retraining.tick import tick
from tests.lightning_app.retraining.points import Points

FEATURES = """
views:
  point:
    request: {length: {type: float}, width: {type: float}, height: {type: float}, weight: {type: float}}
    features:
      size: {kind: given, column: length}
      breadth: {kind: given, column: width}
      rise: {kind: given, column: height}
      mass: {kind: given, column: weight}
labels:
  outcome: {kind: column, column: outcome}
"""
FIT = {
    "seed_everything": 0,
    "trainer": {"max_epochs": 2, "accelerator": "cpu", "logger": False},
    "model": {
        "class_path": "models.tabular.TabularModule",
        "init_args": {
            "network": "models.tabular.LinearNetwork", "task": "models.tabular.Regression",
            "optimizer": {"class_path": "AdamW", "init_args": {"lr": 0.1}},
        },
    },
    "data": {
        "class_path": "datamodules.tabular.FeatureTableDataModule",
        "init_args": {
            "definitions": "features.yaml", "rows": "history.parquet", "label": "outcome", "at": "time",
            "batch_size": 128,
            "split": {"class_path": "datamodules.tabular.TimeSplit", "init_args": {"train": 0.6, "val": 0.2}},
        },
    },
    "card": {
        "intended_use": "tests", "out_of_scope": "all else", "limitations": "none", "ethical_considerations": "none",
    },
}  # fmt: skip


@pytest.fixture
def trained(registry_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Points:
    """A model with a config of a linear network, and without a champion."""
    points = Points(registry_folder, journal=f"sqlite:///{registry_folder}/journal.db", champion=None)
    monkeypatch.chdir(points.folder)
    (points.folder / "features.yaml").write_text(FEATURES)
    (points.folder / "points.yaml").write_text(yaml.safe_dump(FIT))
    return points


def trigger(points: Points, capsys: pytest.CaptureFixture[str], **sections: Any) -> str:
    """Begins a cycle by hand, and gives what was printed."""
    path = points.policy_file(**sections)
    assert main(["retrain", "trigger", "--policy", str(path), "--reason", "a test"]) == 0
    return capsys.readouterr().out


def wait_for(points: Points, state: Callable[[Cycle], bool], *, seconds: float = 240.0, **sections: Any) -> Cycle:
    """Ticks until a cycle is as far as that."""
    policy, end = points.policy(**sections), time.monotonic() + seconds
    while not state(points.cycle()):
        assert time.monotonic() < end, points.cycle()
        time.sleep(0.3)
        tick(policy)
    return points.cycle()


@pytest.mark.slow
def test_a_cycle_trains_from_the_weights_of_the_champion_and_is_promoted(
    trained: Points, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = {"training": {"start": "warm", "executor": {"kind": "local", "wait": True}}}
    said = trigger(trained, capsys, **sections)
    assert "training: attempt 1, from scratch: there is no champion yet" in said
    assert "promoted: points@1 is champion" in said
    first = trained.cycle()
    assert first.facts["device_minutes"] > 0.01
    said = trigger(trained, capsys, **sections, gate={"margin": 0.1}, data={"evaluation_window": "20d"})
    run = Path(first.facts["result"]["run"])
    assert f"training: attempt 1, from the weights of points@1 ({run}/checkpoints/best.ckpt)" in said
    log = next((Path(sections_folder(trained)) / trained.cycle().cycle_id / "job" / "1").glob("log.txt")).read_text()
    assert "warm start: 2 of 2 weights of" in log


def sections_folder(points: Points) -> Path:
    return points.folder / "retraining" / "points"


def test_a_training_that_is_killed_is_noticed_tried_again_and_given_up(
    trained: Points, capsys: pytest.CaptureFixture[str]
) -> None:
    sections: dict[str, Any] = {"training": {"overrides": {"trainer.max_epochs": 100_000}}}
    trigger(trained, capsys, **sections)
    for attempt in (1, 2):
        kill_job(trained, attempt)
        wait_for(trained, lambda cycle, attempt=attempt: cycle.attempt > attempt or cycle.ended is not None, **sections)  # type: ignore[misc]
    ended = trained.cycle()
    assert ended.state == "failed"
    assert str(ended.reason).startswith("attempt 2 of 2 failed: its processes ended without a result (killed, or the")


def test_a_training_that_is_late_is_stopped_with_all_its_processes(
    trained: Points, capsys: pytest.CaptureFixture[str]
) -> None:
    sections: dict[str, Any] = {
        "training": {"overrides": {"trainer.max_epochs": 100_000}, "deadline": "2s", "attempts": 1}
    }
    trigger(trained, capsys, **sections)
    ended = wait_for(trained, lambda cycle: cycle.ended is not None, **sections)
    assert ended.reason == "attempt 1 of 1 failed: longer than the deadline of 2s"
    folder = sections_folder(trained) / ended.cycle_id / "job" / "1"
    job = Job(cycle_id=ended.cycle_id, attempt=1, folder=folder)
    assert isinstance(LocalExecutor().poll(job, ended.facts.get("handle") or {"host": os.uname().nodename}), Failed)


def test_a_fit_that_fails_says_why_and_rejecting_stops_one_that_runs(
    trained: Points, capsys: pytest.CaptureFixture[str]
) -> None:
    sections: dict[str, Any] = {"training": {"overrides": {"model.init_args.no_such": 1}, "attempts": 1}}
    trigger(trained, capsys, **sections)
    ended = wait_for(trained, lambda cycle: cycle.ended is not None, **sections)
    assert ended.state == "failed"
    assert "fit failed with exit code 2: error: " in str(ended.reason)
    assert "no_such" in str(ended.reason)
    sections = {"training": {"overrides": {"trainer.max_epochs": 100_000}}}
    trigger(trained, capsys, **sections)
    owner_of(trained, 1)  # it runs
    assert main(["retrain", "reject", "--policy", "retrain.yaml", "--reason", "wrong data"]) == 0
    assert trained.cycle().state == "rejected"
    cycle = trained.cycle()
    job = Job(cycle_id=cycle.cycle_id, attempt=1, folder=sections_folder(trained) / cycle.cycle_id / "job" / "1")
    assert isinstance(LocalExecutor().poll(job, cycle.facts["handle"]), Failed)


def test_a_job_is_started_once_and_its_end_on_another_machine_is_not_guessed(trained: Points, tmp_path: Path) -> None:
    folder = tmp_path / "job" / "1"
    folder.mkdir(parents=True)
    job = Job(cycle_id="c", attempt=1, folder=folder)
    elsewhere = {"host": "another-machine"}
    status = LocalExecutor().poll(job, elsewhere)
    assert isinstance(status, Running)
    assert status.words.startswith("runs on another-machine")
    assert isinstance(LocalExecutor(ends_with_tick=True).poll(job, elsewhere), Failed)


def kill_job(points: Points, attempt: int) -> None:
    os.killpg(owner_of(points, attempt), signal.SIGKILL)


def owner_of(points: Points, attempt: int) -> int:
    """Process group of an attempt that runs."""
    end = time.monotonic() + 60
    while True:
        path = sections_folder(points) / points.cycle().cycle_id / "job" / "owner"
        words = path.read_text().split() if path.exists() else ["0", "0"]
        if int(words[0]) == attempt:
            return int(words[1])
        assert time.monotonic() < end
        time.sleep(0.05)
        if points.cycle().attempt < attempt:
            tick(points.policy(training={"overrides": {"trainer.max_epochs": 100_000}}))


def test_the_result_of_a_job_is_whole_or_not_there(tmp_path: Path) -> None:
    from lightning_app.retraining.executors.executor import RESULT, Result, read_result

    assert read_result(tmp_path) is None
    result = Result(package="p", digest="d", device_minutes=2.0)
    (tmp_path / RESULT).write_bytes(msgspec.json.encode(result))
    assert read_result(tmp_path) is not None
