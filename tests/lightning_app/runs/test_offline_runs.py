"""The reader of offline runs, on what W&B really wrote."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lightning_app.runs.offline_runs import OfflineRun, read_offline_run, read_offline_runs

# `again` is the id of two folders, as of a run that was resumed; the last run never comes to its end.
WRITER = """
import os, sys, time, wandb

def start(run_id, **more):
    quiet = wandb.Settings(silent=True, console="off", x_disable_stats=True, disable_git=True)
    return wandb.init(project="shelf", id=run_id, mode="offline", settings=quiet, **more)

run = start("whole", name="a name", group="family", job_type="fit", tags=["first"],
            config={"model": {"size": 3, "rates": [0.1, 0.2]}, "text": "x" * 70_000})
for step in range(60):
    run.log({"val/loss": 1 / (step + 1), "nested": {"a": step}})
run.log({"val/loss": float("nan")})
run.tags = (*run.tags, "late")
run.config.update({"more": True})
run.summary["best"] = {"value": 0.5}
open("note.txt", "w").write("a note")
run.save("note.txt", policy="now")
artifact = wandb.Artifact("weights", "model")
artifact.add_file("note.txt")
run.log_artifact(artifact)
run.finish()
start("failing").finish(exit_code=1)
run = start("again", config={"lr": 1})
run.log({"loss": 1.0}), run.log({"loss": 0.9})
run.finish(exit_code=1)
time.sleep(1.0)
run = start("again", config={"lr": 2})
run.log({"loss": 0.8})
run.finish()
run = start("cut")
for step in range(500):
    run.log({"loss": step})
os._exit(9)
"""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four offline runs."""
    folder = tmp_path_factory.mktemp("shelf")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WANDB")}
    places = {f"WANDB_{name}_DIR": str(folder / name) for name in ("DATA", "CACHE", "CONFIG")}
    command = [sys.executable, "-c", WRITER]
    answer = subprocess.run(command, cwd=folder, env={**kept, **places}, capture_output=True, text=True, check=False)
    assert answer.returncode == 9, answer.stderr
    return folder


@pytest.fixture(scope="module")
def runs(shelf: Path) -> dict[str, OfflineRun]:
    return {run.id: run for run in read_offline_runs(shelf)}


def test_all_that_was_logged_is_read_back(runs: dict[str, OfflineRun]) -> None:
    run = runs["whole"]
    assert (run.name, run.project, run.group, run.job_type) == ("a name", "shelf", "family", "fit")
    assert run.tags == ("first", "late")
    assert run.config["model"] == {"size": 3, "rates": [0.1, 0.2]}
    assert len(run.config["text"]) == 70_000  # across three blocks of the file
    assert run.config["more"] is True
    assert run.column("val/loss")[:60] == [1 / (step + 1) for step in range(60)]
    assert np.isnan(run.column("val/loss")[60])
    assert run.history[7]["nested"] == {"a": 7}
    assert run.summary["best"] == {"value": 0.5}
    (artifact,) = run.artifacts
    assert (artifact.name, artifact.type, artifact.files) == ("weights", "model", {"note.txt": 6})
    (note,) = (path for path in run.files if path.name == "note.txt")
    assert note.read_text() == "a note"


def test_the_state_tells_how_a_run_ended(runs: dict[str, OfflineRun]) -> None:
    states = {name: run.state for name, run in runs.items()}
    assert states == {"whole": "finished", "failing": "failed", "again": "finished", "cut": "crashed"}
    found = runs["cut"].column("loss")  # W&B writes block by block: what a killed run logged at last is lost
    assert found == list(range(len(found)))
    assert len(found) > 50


def test_folders_of_one_id_are_one_run(runs: dict[str, OfflineRun]) -> None:
    assert runs["again"].column("loss") == [1.0, 0.9, 0.8]
    assert runs["again"].config["lr"] == 2


def test_a_file_that_breaks_off_gives_all_whole_records(shelf: Path, runs: dict[str, OfflineRun]) -> None:
    (source,) = shelf.glob("wandb/*-whole/run-whole.wandb")
    data, whole = source.read_bytes(), runs["whole"]
    folder = Path("offline-run-20260101_000000-whole")
    folder.mkdir()
    lengths = [*range(40), *range(32_750, 32_790), *range(70_000, len(data), 331), len(data)]
    read = 0
    for length in lengths:
        (folder / "run-whole.wandb").write_bytes(data[:length])
        run = read_offline_run(".")
        assert run.history[:60] == whole.history[: min(len(run.history), 60)]
        assert len(run.history) >= read
        read = len(run.history)
    assert read == 61


def test_a_damaged_block_costs_what_lies_in_it(shelf: Path) -> None:
    (source,) = shelf.glob("wandb/*-whole/run-whole.wandb")
    data = bytearray(source.read_bytes())
    data[40_000] ^= 255  # in the middle of the config's long text
    folder = Path("offline-run-20260101_000000-whole")
    folder.mkdir()
    (folder / "run-whole.wandb").write_bytes(data)
    run = read_offline_run(".")
    assert "late" in run.tags
    assert run.summary["best"] == {"value": 0.5}
    (folder / "run-whole.wandb").write_bytes(b"no log at all")
    assert read_offline_run(".").state == "crashed"


def test_one_run_is_asked_for_where_there_is_one(shelf: Path) -> None:
    with pytest.raises(ValueError, match="exactly one offline run is needed, there are .*'whole'"):
        read_offline_run(shelf)


def test_reading_needs_no_torch(shelf: Path) -> None:
    program = (
        "import sys; from lightning_app.runs.offline_runs import read_offline_runs; "
        f"assert len(read_offline_runs({str(shelf)!r})) == 4; assert not {{'torch', 'lightning'}} & set(sys.modules)"
    )
    root = str(Path(__file__).parents[3])
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONPATH": root})
