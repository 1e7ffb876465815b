"""Data paths that name a snapshot or a version of a Delta table: what they read, and what a lineage says of them."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import yaml

from features.versions import open_store, take_snapshot
from lightning_app.__main__ import main
from lightning_app.packaging import Package


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIGHTNING_APP_SNAPSHOTS", str(tmp_path / "store"))
    return tmp_path / "store"


def lineage_of(tmp_path: Path) -> tuple[Path, dict]:
    (run,) = (tmp_path / "runs").glob("*/*")
    return run, json.loads((run / "lineage.json").read_text())


def series_path(run: Path) -> str:
    return yaml.safe_load((run / "config.yaml").read_text())["data"]["init_args"]["series"]["init_args"]["path"]


def test_a_run_and_its_package_name_the_snapshot_they_were_trained_on(
    fit_args: Callable[..., list[str]], table_file: Path, tmp_path: Path, store: Path
) -> None:
    snapshot = take_snapshot(table_file, store=open_store(store), name="waves").manifest
    short = f"snapshot:waves@{snapshot.id[:12]}"
    assert main(fit_args("--data.series.path", "snapshot:waves")) == 0
    run, lineage = lineage_of(tmp_path)
    assert series_path(run) == short
    (file,) = snapshot.files
    facts = {"sha256": file.sha256, "bytes": file.bytes, "snapshot": snapshot.id, "store": str(store)}
    assert lineage["files"] == {short: facts}
    table_file.write_text(table_file.read_text().rsplit("\n", 2)[0] + "\n")
    take_snapshot(table_file, store=open_store(store), name="waves")
    best = str(run / "checkpoints" / "best.ckpt")
    assert main(["test", "--ckpt_path", best]) == 0  # on what it was trained on, not on the newest
    assert main(["export", best, "--output", str(tmp_path / "package")]) == 0
    assert Package.load(tmp_path / "package").manifest.lineage["data_versions"] == [
        {"name": short, "snapshot": snapshot.id, "sha256": file.sha256}
    ]
    assert f"`{short}`: snapshot {snapshot.id}" in (tmp_path / "package" / "MODEL_CARD.md").read_text()


@pytest.mark.slow
def test_a_run_on_a_delta_table_reads_and_records_a_version(
    fit_args: Callable[..., list[str]], table_file: Path, tmp_path: Path
) -> None:
    pytest.importorskip("deltalake", reason="Delta tables need the extra delta")
    rows = pl.read_csv(table_file)
    delta = tmp_path / "größe"
    rows.head(700).write_delta(delta)
    rows.tail(-700).write_delta(delta, mode="append")
    assert main(fit_args("--data.series.path", str(delta))) == 0
    run, lineage = lineage_of(tmp_path)
    assert series_path(run) == f"{delta}@v1"
    ((path, facts),) = lineage["files"].items()
    assert (path, facts["delta_version"], lineage["data"]["rows"]) == (f"{delta}@v1", 1, len(rows))
    rows.head(10).write_delta(delta, mode="append")
    best = str(run / "checkpoints" / "best.ckpt")
    assert main(["test", "--ckpt_path", best]) == 0
    assert main(["test", "--ckpt_path", best, "--data.series.path", f"{delta}@v0"]) == 0


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("snapshot:waves@ffffff", "snapshot:waves@ffffff: snapshot 'waves@ffffff': not in"),
        ("snapshot:waves/other.csv", "has no file 'other.csv'"),
        ("snapshot:", "write NAME, NAME@ID or ID"),
        ("delta@v7", "delta@v7: the Delta table has no version 7, its newest is 0"),
    ],
)
def test_a_reference_to_what_does_not_exist_is_bad_usage(
    path: str,
    message: str,
    fit_args: Callable[..., list[str]],
    table_file: Path,
    tmp_path: Path,
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    take_snapshot(table_file, store=open_store(store), name="waves")
    pl.DataFrame({"time": [1]}).write_delta(tmp_path / "delta")
    assert main(fit_args("--data.series.path", path)) == 2
    assert message in capsys.readouterr().err


def test_a_diff_compares_versions_of_a_delta_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pl.DataFrame({"x": [1, 2], "part": ["a", "b"]}).write_delta(
        tmp_path / "t", delta_write_options={"partition_by": "part"}
    )
    pl.DataFrame({"x": [3], "part": ["c"]}).write_delta(tmp_path / "t", mode="append")
    assert main(["data", "diff", f"{tmp_path}/t@v0", f"{tmp_path}/t", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [rows[name] for name in ("before", "after", "added", "removed")] == [2, 3, 1, 0]
    assert main(["data", "snapshot", str(tmp_path / "t")]) == 2
    assert "is a Delta table, which keeps its versions itself: name one as" in capsys.readouterr().err
