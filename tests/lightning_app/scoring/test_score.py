"""Tables through a package: order, rejected rows, and jobs that are killed."""

import os
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
from tests.packages import COLUMNS, LABELS, small_package

ROWS = 40_000


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return small_package(tmp_path / "package", labels=LABELS)


def table(num_rows: int = ROWS, *, seed: int = 0) -> pl.DataFrame:
    numbers = np.random.default_rng(seed).standard_normal((num_rows, len(COLUMNS))).astype(np.float32)
    columns = {name: numbers[:, place] for place, name in enumerate(COLUMNS)}
    return pl.DataFrame({"id": np.arange(num_rows)[::-1], **columns, "note": ["a", "b"] * (num_rows // 2)})


def write(frame: pl.DataFrame, path: Path) -> Path:
    {".parquet": frame.write_parquet, ".csv": frame.write_csv, ".arrow": frame.write_ipc}[path.suffix](path)  # type: ignore[operator]
    return path


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".arrow"])
def test_every_row_is_answered_in_order_with_its_keys(package: Path, tmp_path: Path, ending: str) -> None:
    frame = table()
    data = write(frame, tmp_path / f"data{ending}")
    assert main(["score", str(package), str(data), "--output", "found.parquet", "--workers", "2"]) == 0
    found = pl.read_parquet("found.parquet")
    wanted = Package.load(package).predict(frame)
    keys = frame.select("id", "note").cast(pl.String if ending == ".csv" else {})
    assert_frame_equal(found.select("id", "note"), keys)
    assert_frame_equal(found.select(wanted.columns), wanted, rel_tol=1e-4)
    assert found["model_version"].unique().to_list() == [f"small_mlp@{Package.load(package).digest[:12]}"]
    assert found["scored_at"].n_unique() == 1
    assert sorted(path.name for path in tmp_path.glob("*found*")) == ["found.parquet"]


def test_a_table_that_was_answered_before_is_answered_anew(package: Path, tmp_path: Path) -> None:
    data = write(table(100).with_columns(label=pl.lit("none"), price=1.0), tmp_path / "data.parquet")
    assert main(["score", str(package), str(data), "--output", "found.parquet"]) == 0
    found = pl.read_parquet("found.parquet")
    assert found.columns[:4] == ["id", "note", "price", "label"]
    assert set(found["label"]) <= set(LABELS)


def test_a_table_without_keys_gives_the_answers_alone(package: Path, tmp_path: Path) -> None:
    frame = table().select(COLUMNS)
    data = write(frame, tmp_path / "data.parquet")
    assert main(["score", str(package), str(data), "--output", "found.parquet"]) == 0
    found = pl.read_parquet("found.parquet").drop("model_version", "scored_at")
    assert_frame_equal(found, Package.load(package).predict(frame))


def test_many_files_are_one_table(package: Path, tmp_path: Path) -> None:
    frame = table()
    (tmp_path / "many").mkdir()
    for index in range(4):
        write(frame[index * ROWS // 4 : (index + 1) * ROWS // 4], tmp_path / "many" / f"{index}.parquet")
    assert main(["score", str(package), str(tmp_path / "many"), "--output", "found.parquet", "--keys", "id"]) == 0
    assert pl.read_parquet("found.parquet")["id"].to_list() == frame["id"].to_list()
    assert main(["score", str(package), "many/[13].parquet", "--output", "some.parquet"]) == 0
    assert len(pl.read_parquet("some.parquet")) == ROWS // 2


def test_bad_rows_are_set_aside_with_their_reasons(package: Path, tmp_path: Path) -> None:
    frame = table().with_columns(pl.col("width").cast(pl.String), pl.col("height"))
    bad = {7: "oops", 20_000: ""}
    width = frame["width"].to_list()
    for row, word in bad.items():
        width[row] = word
    height = frame["height"].to_list()
    height[30_000] = float("nan")
    frame = frame.with_columns(pl.Series("width", width), pl.Series("height", height))
    data = write(frame, tmp_path / "data.csv")
    assert main(["score", str(package), str(data), "--output", "out/found.parquet", "--max-rejected", "3"]) == 0
    rejected = pl.read_parquet("out/found.rejected.parquet")
    assert rejected["row"].to_list() == [7, 20_000, 30_000]
    assert rejected["reason"][0] == "width: 'oops' is no number"
    assert '"id": "39992"' in rejected["input"][0]
    found = pl.read_parquet("out/found.parquet")
    assert found["id"].to_list() == [str(key) for row, key in enumerate(frame["id"]) if row not in (7, 20_000, 30_000)]


def test_too_many_bad_rows_fail_the_job_and_leave_no_output(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = table().with_columns(pl.when(pl.col("id") < 3).then(None).otherwise(pl.col("width")).alias("width"))
    data = write(frame, tmp_path / "data.parquet")
    words = ["score", str(package), str(data), "--output", "found.parquet", "--max-rejected"]
    assert main([*words, "2"]) == 1
    assert "3 of 40,000 rows were rejected, 2 are allowed" in capsys.readouterr().err
    assert not Path("found.parquet").exists()
    assert len(pl.read_parquet("found.rejected.parquet")) == 3
    assert main([*words, "1%"]) == 0
    assert len(pl.read_parquet("found.parquet")) == ROWS - 3


def test_a_table_without_rows_gives_an_output_without_rows(package: Path, tmp_path: Path) -> None:
    data = write(table()[:0], tmp_path / "data.parquet")
    assert main(["score", str(package), str(data), "--output", "found.parquet"]) == 0
    found = pl.read_parquet("found.parquet")
    assert found.columns == ["id", "note", "label", "probability", "probabilities", "model_version", "scored_at"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["missing.parquet", "--output", "o.parquet"], "data: 'missing.parquet' does not exist"),
        (["data.parquet", "--output", "o.csv"], "a name that ends in .parquet is needed"),
        (["data.parquet", "--output", "o.parquet", "--keys", "nr"], "there is no column 'nr'"),
        (["data.parquet", "--output", "o.parquet", "--workers", "0"], "workers: 0 given"),
        (["answered.parquet", "--output", "o.parquet", "--keys", "label"], "'label' is a column that the model writes"),
        (["data.parquet", "other.parquet", "--output", "o.parquet"], "its columns or their types differ"),
        (["data.txt", "--output", "o.parquet"], "ends in '.txt', allowed: .parquet"),
        (
            ["data.parquet", "--output", "o.parquet", "--max-rejected", "2.5"],
            "'2.5' given, a number of rows or a share like 1% is needed",
        ),
    ],
)
def test_what_is_wrong_in_a_job_is_said_before_it_starts(
    words: list[str], message: str, package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(table(100), tmp_path / "data.parquet")
    write(table(100).drop("note"), tmp_path / "other.parquet")
    write(table(100).with_columns(label=pl.lit("low")), tmp_path / "answered.parquet")
    (tmp_path / "data.txt").write_text("a")
    assert main(["score", str(package), *words]) == 2
    assert message in capsys.readouterr().err
    assert not Path("o.parquet").exists()


def test_a_job_that_stops_between_any_two_parts_goes_on_to_the_same_output(package: Path, tmp_path: Path) -> None:
    data = write(table(), tmp_path / "data.parquet")

    def job(name: str) -> ScoreJob:
        return ScoreJob(
            package=package, version="m@1", data=[str(data)], output=tmp_path / name / "found.parquet",
            bound=RejectionBound(), part_seconds=0.0,
        )  # fmt: skip

    class Stops(Exception):  # noqa: N818
        """In place of a kill."""

    def stop_after(num_rows: int) -> None:
        def on_progress(done: int, rejected: int) -> None:
            if done >= num_rows:
                raise Stops

        with pytest.raises(Stops):
            job("stopped").run(LocalEngine(workers=1), on_progress=on_progress)

    job("whole").run(LocalEngine(workers=2))
    stop_after(10)
    stop_after(20_000)
    job("stopped").run(LocalEngine(workers=2))
    whole, stopped = (pl.read_parquet(tmp_path / name / "found.parquet") for name in ("whole", "stopped"))
    assert_frame_equal(whole.drop("scored_at"), stopped.drop("scored_at"))
    assert stopped["scored_at"].n_unique() == 1


def test_parts_of_another_job_are_not_gone_on_with(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.parquet"
    broken = table().with_columns(pl.lit(None, pl.Float32).alias("width"))
    words = ["score", str(package), str(write(broken, data)), "--output", "found.parquet"]
    assert main(words) == 1
    Path("found.rejected.parquet").unlink()
    write(table(seed=1), data)
    assert main(words) == 2
    assert "holds parts of a job with another data" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert_frame_equal(pl.read_parquet("found.parquet").select("id"), table(seed=1).select("id"))


@pytest.mark.slow
def test_twenty_kills_at_random_points_leave_no_trace_in_the_output(package: Path, tmp_path: Path) -> None:
    data = write(table(400_000), tmp_path / "data.parquet")
    words = ["score", str(package), str(data), "--output"]
    assert main([*words, "whole.parquet"]) == 0
    program = (
        "import sys; from pathlib import Path; from lightning_app.scoring import RejectionBound, ScoreJob;"
        "from lightning_app.scoring.engines import LocalEngine;"
        "ScoreJob(package=Path(sys.argv[1]), version='m', data=[sys.argv[2]], output=Path('killed/found.parquet'),"
        "bound=RejectionBound(), part_seconds=0.0).run(LocalEngine(workers=1))"
    )
    environment = {**os.environ, "PYTHONPATH": str(CONFIGS.parent)}
    random = np.random.default_rng(0)
    kills = 0
    while kills < 20:
        process = subprocess.Popen([sys.executable, "-c", program, str(package), str(data)], env=environment)
        time.sleep(float(random.uniform(0.6, 1.6)))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        found = Path("killed/found.parquet")
        if found.exists():
            assert len(pl.read_parquet(found)) == 400_000
            found.unlink()
    subprocess.run([sys.executable, "-c", program, str(package), str(data)], env=environment, check=True)
    drop = ("scored_at", "model_version")
    assert_frame_equal(pl.read_parquet("killed/found.parquet").drop(drop), pl.read_parquet("whole.parquet").drop(drop))


@pytest.mark.slow
def test_ray_gives_the_same_bits(package: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the engine ray needs Ray, of the extra scale")
    data = write(table(), tmp_path / "data.parquet")
    words = ["score", str(package), str(data), "--output"]
    assert main([*words, "local.parquet"]) == 0
    assert main([*words, "ray.parquet", "--engine", "ray", "--workers", "2"]) == 0
    local, ray = (pl.read_parquet(f"{name}.parquet").drop("scored_at") for name in ("local", "ray"))
    assert_frame_equal(local, ray, check_exact=True)
