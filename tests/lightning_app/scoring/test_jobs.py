"""Jobs beside other jobs: one writer per output, nothing of another job lost or taken over."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from lightning_app.__main__ import main
from lightning_app.packaging import Package
from lightning_app.scoring import RejectionBound, ScoreJob
from lightning_app.scoring.engines import LocalEngine
from tests.conftest import CONFIGS
from tests.lightning_app.scoring.test_score import table, write
from tests.packages import LABELS, small_package

ROWS = 40_000


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return small_package(tmp_path / "package", labels=LABELS)


def score_job(package: Path, data: Path) -> ScoreJob:
    return ScoreJob(
        package=package, data=[str(data)], output=Path("found.parquet"), bound=RejectionBound(), part_seconds=0.0
    )


def test_a_second_job_on_an_output_is_told_who_writes_it(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["score", str(package), str(write(table(), tmp_path / "data.parquet")), "--output"]
    Path("link").symlink_to(tmp_path, target_is_directory=True)

    def second(done: int, rejected: int) -> None:
        if done == ROWS:
            assert main([*words, "link/found.parquet"]) == 2
            error = capsys.readouterr().err
            assert "found.parquet is being written by another job" in error
            assert f"process {os.getpid()}, since 20" in error
            assert main([*words, "other.parquet"]) == 0

    score_job(package, tmp_path / "data.parquet").run(LocalEngine(workers=1), on_progress=second)
    assert len(pl.read_parquet("found.parquet")) == len(pl.read_parquet("other.parquet")) == ROWS
    assert sorted(path.name for path in tmp_path.glob("*found*")) == ["found.parquet"]


@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.slow)])
def test_the_package_that_was_verified_answers_whatever_takes_its_place(
    package: Path, tmp_path: Path, engine: str
) -> None:
    frame = table()
    wanted, digest = Package.load(package).predict(frame), Package.load(package).digest
    job = score_job(package, write(frame, tmp_path / "data.parquet"))

    def exchange(done: int, rejected: int) -> None:
        if not done:
            small_package(package, labels=LABELS, seed=5, noise=3.0, overwrite=True)

    if engine == "ray":
        pytest.importorskip("ray", reason="the engine ray needs Ray, of the extra scale")
        from lightning_app.scoring.ray_engine import RayEngine

        job.run(RayEngine(workers=2), on_progress=exchange)
    else:
        job.run(LocalEngine(workers=2), on_progress=exchange)
    found = pl.read_parquet("found.parquet")
    assert found["model_version"].unique().to_list() == [f"small_mlp@{digest[:12]}"]
    assert_frame_equal(found.select(wanted.columns), wanted, rel_tol=1e-4)
    assert not Package.load(package).predict(frame).equals(wanted)


def test_what_a_kill_leaves_of_monday_is_not_taken_for_tuesday(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, folder = write(table(), tmp_path / "data.parquet"), Path(".found.parquet.parts")
    words = ["score", str(package), str(data), "--output", "found.parquet"]

    def keep(done: int, rejected: int) -> None:
        if done == ROWS:
            shutil.copytree(folder, "kept")

    score_job(package, data).run(LocalEngine(workers=1), on_progress=keep)
    monday = pl.read_parquet("found.parquet")
    shutil.copytree("kept", folder)  # as if killed after the output was put in its place
    assert main(words) == 0
    assert "this job is already finished" in capsys.readouterr().out
    assert not folder.exists()
    assert_frame_equal(pl.read_parquet("found.parquet"), monday)

    write(table(seed=1), data)
    assert main(words) == 2
    assert "found.parquet exists; give another output, or --overwrite" in capsys.readouterr().err
    Path("found.parquet").unlink()
    shutil.copytree("kept", folder)
    (folder / "job.json").unlink()  # as if killed while the folder was removed
    (folder / f"part-{0:012d}-{16_384:012d}.parquet").unlink(missing_ok=True)
    assert main(words) == 0
    wanted = Package.load(package).predict(table(seed=1))
    assert_frame_equal(pl.read_parquet("found.parquet").select(wanted.columns), wanted, rel_tol=1e-4)
    assert not folder.exists()


def test_nothing_is_replaced_unasked(package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = table(100).with_columns(pl.when(pl.col("id") == 3).then(None).otherwise(pl.col("width")).alias("width"))
    good = write(table(100), tmp_path / "good.parquet")
    words = ["score", str(package), str(write(bad, tmp_path / "bad.parquet")), "--output", "a.parquet"]
    assert main(words) == 0
    other = ["score", str(package), str(good), "--output", "b.parquet"]
    assert main(other) == 0
    assert len(pl.read_parquet("a.rejected.parquet")) == 1
    before = Path("a.parquet").read_bytes()
    assert main(words) == 0
    assert Path("a.parquet").read_bytes() == before
    capsys.readouterr()
    assert main([*other[:3], "--output", "a.parquet"]) == 2
    assert "a.parquet exists" in capsys.readouterr().err
    Path("a.parquet").unlink()
    assert main([*other[:3], "--output", "a.parquet"]) == 2
    assert "a.rejected.parquet holds rejected rows of another job" in capsys.readouterr().err
    assert main([*other[:3], "--output", "a.parquet", "--overwrite"]) == 0
    assert not Path("a.rejected.parquet").exists()
    Path("notes.parquet").write_text("no parquet at all")
    assert main([*other[:3], "--output", "notes.parquet"]) == 2
    assert Path("notes.parquet").read_text() == "no parquet at all"
    assert not list(tmp_path.glob(".*parts*"))


@pytest.mark.parametrize(
    ("data", "output", "message"),
    [
        ("in/data.parquet", "in/data.parquet", "is the table in/data.parquet, which would be lost"),
        ("in/data.parquet", "soft.parquet", "is the table in/data.parquet"),
        ("in/data.parquet", "hard.parquet", "is the table in/data.parquet"),
        ("soft.parquet", "in/data.parquet", "is the table soft.parquet"),
        ("in/data.parquet", "odd.parquet", "odd.rejected.parquet is the table in/data.parquet"),
        ("in", "in/new.parquet", "would be one of the tables in in in the next run"),
        ("i*/d*.parquet", "in/data.parquet", "is the table in/data.parquet"),
        ("i*/*.parquet", "in/new.parquet", "would be one of the tables in i*/*.parquet in the next run"),
    ],
)
def test_an_output_is_none_of_its_tables(
    data: str, output: str, message: str, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("in").mkdir()
    kept = write(table(100), Path("in/data.parquet")).read_bytes()
    Path("soft.parquet").symlink_to("in/data.parquet")
    Path("odd.rejected.parquet").symlink_to("in/data.parquet")
    Path("hard.parquet").hardlink_to("in/data.parquet")
    for words in ([], ["--overwrite"]):
        assert main(["score", str(package), data, "--output", output, *words]) == 2
        assert message in capsys.readouterr().err
    assert Path("in/data.parquet").read_bytes() == kept
    assert len(list(Path("in").iterdir())) == 1


def test_a_table_that_changes_while_it_is_scored_gives_no_output(package: Path, tmp_path: Path) -> None:
    data = write(table(), tmp_path / "data.arrow")

    def change(done: int, rejected: int) -> None:
        os.utime(data)

    with pytest.raises(RuntimeError, match="a file was changed while it was scored"):
        score_job(package, data).run(LocalEngine(workers=1), on_progress=change)
    assert not Path("found.parquet").exists()


@pytest.mark.slow
def test_three_scorers_that_are_killed_at_random_make_one_whole_output(package: Path, tmp_path: Path) -> None:
    frame = table(400_000)
    data = write(frame, tmp_path / "data.parquet")
    program = (
        "import sys; from pathlib import Path; from lightning_app.scoring import RejectionBound, ScoreJob;"
        "from lightning_app.scoring.engines import LocalEngine;"
        "ScoreJob(package=Path(sys.argv[1]), version='m', data=[sys.argv[2]], output=Path('found.parquet'),"
        "bound=RejectionBound(), part_seconds=0.0).run(LocalEngine(workers=1))"
    )
    environment = {**os.environ, "PYTHONPATH": str(CONFIGS.parent)}
    words = [sys.executable, "-c", program, str(package), str(data)]
    random = np.random.default_rng(0)
    finished = refused = 0
    for _ in range(15):
        processes = [subprocess.Popen(words, env=environment, stderr=subprocess.PIPE) for _ in range(3)]
        time.sleep(float(random.uniform(0.8, 3.0)))
        processes[int(random.integers(3))].send_signal(signal.SIGKILL)
        for process in processes:
            error = process.communicate()[1]
            finished += process.returncode == 0
            refused += b"is being written by another job" in error
            assert process.returncode in (0, -9) or b"is being written by another job" in error, error
        found = Path("found.parquet")
        if found.exists():
            assert pl.read_parquet(found)["id"].to_list() == frame["id"].to_list()
            if random.random() < 0.7:
                found.unlink()
    assert finished >= 10
    assert refused >= 5
    assert not list(tmp_path.glob(".*done*"))


KILLED = """
import os, signal, sys
from pathlib import Path
from lightning_app.scoring import RejectionBound, ScoreJob
from lightning_app.scoring.engines import LocalEngine
package, data, step = sys.argv[1], sys.argv[2], int(sys.argv[3])
job = ScoreJob(package=Path(package), data=[data], output=Path("found.parquet"),
    bound=RejectionBound(rows=9), overwrite=True, part_seconds=0.0)
passed = 0
def on_call(name, arguments):
    global passed
    writes = name == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wxa+")
    if name in ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.truncate") or writes:
        if passed == step:
            os.kill(os.getpid(), signal.SIGKILL)
        passed += 1
sys.addaudithook(on_call)
job.run(LocalEngine(workers=1))
"""


@pytest.mark.slow
@pytest.mark.parametrize("before", [False, True], ids=["no output before", "an output before"])
def test_a_kill_before_any_change_of_a_file_leaves_nothing_that_another_job_takes_for_its_own(
    before: bool, package: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(CONFIGS.parent)}
    monday, tuesday = (
        table(20_000, seed=seed).with_columns(
            pl.when(pl.col("id") == seed).then(None).otherwise(pl.col("width")).alias("width")
        )
        for seed in (3, 4)
    )
    data = {name: write(frame, tmp_path / f"{name}.parquet") for name, frame in (("mon", monday), ("tue", tuesday))}
    wanted = {
        name: Package.load(package).predict(frame.drop_nulls()) for name, frame in (("mon", monday), ("tue", tuesday))
    }

    def whole(name: str, folder: Path) -> bool:
        found = pl.read_parquet(folder / "found.parquet")
        rejected = pl.read_parquet(folder / "found.rejected.parquet")
        seed = 3 if name == "mon" else 4
        assert rejected["row"].to_list() == [20_000 - 1 - seed]
        return bool(found["id"].len() == 19_999) and found["probability"].equals(wanted[name]["probability"])

    step, killed = 0, True
    while killed:
        folder = tmp_path / f"step-{step}"
        folder.mkdir()

        def run(name: str, at: int, *, where: Path = folder) -> int:
            words = [sys.executable, "-c", KILLED, str(package), str(data[name]), str(at)]
            return subprocess.run(words, env=environment, cwd=where, capture_output=True).returncode

        if before:
            assert run("tue", -1) == 0
        killed = run("mon", step) == -signal.SIGKILL
        copy = tmp_path / f"copy-{step}"
        shutil.copytree(folder, copy)
        assert run("mon", -1) == 0
        assert whole("mon", folder), step
        assert run("tue", -1, where=copy) == 0
        assert whole("tue", copy), step
        for place in (folder, copy):
            assert sorted(path.name for path in place.iterdir()) == ["found.parquet", "found.rejected.parquet"], step
            shutil.rmtree(place)
        step += 1
    assert step > 15
