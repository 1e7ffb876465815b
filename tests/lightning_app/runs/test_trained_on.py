"""A run is compared with what it was trained on: files, data, own code."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import yaml

from lightning_app import __version__
from lightning_app.__main__ import main
from lightning_app.packaging import Package
from lightning_app.packaging.export.package_lineage import package_lineage
from lightning_app.runs.run_folder import RunFolder
from tests.conftest import only_run, run_folders

FitArgs = Callable[..., list[str]]

OWN = """
from pathlib import Path

from datamodules import TableFile
from models import PhaseTransformer


class OwnNetwork(PhaseTransformer):
    pass


class OwnTable(TableFile):
    def __init__(self, *, file: Path | None = None) -> None:
        super().__init__(path=str(file), time_column="time", frequency="1h")
"""


@pytest.fixture
def fitted(fit_args: FitArgs, tmp_path: Path) -> Path:
    """The folder of a finished fit."""
    assert main(fit_args()) == 0
    return only_run(tmp_path / "runs")


def test_changed_training_data_are_refused_until_they_are_meant(
    fitted: Path, table_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = str(fitted / "checkpoints" / "last.ckpt")
    pl.read_csv(table_file).with_columns(pl.col("c0") * 3).write_csv(table_file)
    capsys.readouterr()
    for command in (["test"], ["fit", "--trainer.max_epochs", "3"]):
        assert main([*command, "--ckpt_path", checkpoint]) == 2
        assert f"data: changed since the run was trained: {table_file} (sha256 " in capsys.readouterr().err
    assert main(["export", str(fitted), "--output", "package"]) == 2
    assert f"data: changed since the run was trained: {table_file} (sha256 " in capsys.readouterr().err
    assert not (fitted / "report.md").exists()
    assert run_folders(tmp_path / "runs") == [fitted]
    assert main(["predict", "--ckpt_path", checkpoint]) == 0  # the newest rows are what a forecast is made from
    assert "warning: data: changed since the run was trained" in capsys.readouterr().err
    assert main(["test", "--ckpt_path", checkpoint, "--allow_changed_data"]) == 0
    assert "warning: data: changed since the run was trained" in capsys.readouterr().err
    assert f"- **data: changed since the run was trained: {table_file}" in (fitted / "report.md").read_text()


@pytest.mark.slow
def test_other_data_on_the_command_line_are_named_and_kept_apart_from_the_training_data(
    fitted: Path, table_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.csv"
    pl.read_csv(table_file).with_columns(pl.col("c0") * 3).write_csv(other)
    capsys.readouterr()
    given = ("--data.series.path", str(other))
    assert main(["test", "--ckpt_path", str(fitted / "checkpoints" / "best.ckpt"), *given]) == 0
    assert f"warning: data: {other}, trained on {table_file}" in capsys.readouterr().err
    assert f"- **data: {other}, trained on {table_file}**" in (fitted / "report.md").read_text()
    assert main(["export", str(fitted), "--output", "package", "--", *given]) == 0
    assert f"warning: data: {other}, trained on {table_file}" in capsys.readouterr().err
    lineage = Package.load(Path("package")).manifest.lineage
    recorded = json.loads((fitted / "lineage.json").read_text())
    assert lineage["data"] == recorded["data"]
    assert lineage["evaluation_data"]["sha256"] != recorded["data"]["sha256"]
    assert lineage["differences"] == [f"data: {other}, trained on {table_file}"]
    moved = tmp_path / "moved.csv"
    table_file.rename(moved)
    assert (
        main(["test", "--ckpt_path", str(fitted / "checkpoints" / "best.ckpt"), "--data.series.path", str(moved)]) == 0
    )
    assert "trained on" not in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_of_an_earlier_version_is_compared_by_the_fingerprint_of_its_data(
    fitted: Path, table_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lineage = json.loads((fitted / "lineage.json").read_text())
    added_later = ("files", "own_code", "repository", "folder", "framework")
    earlier = {key: value for key, value in lineage.items() if key not in added_later}
    earlier["code"] = {key: lineage["framework"][key] for key in ("commit", "dirty_diff")}
    (fitted / "lineage.json").write_text(json.dumps(earlier))
    checkpoint = str(fitted / "checkpoints" / "best.ckpt")
    assert main(["test", "--ckpt_path", checkpoint]) == 0
    assert "warning" not in capsys.readouterr().err
    pl.read_csv(table_file).head(390).write_csv(table_file)
    assert main(["test", "--ckpt_path", checkpoint]) == 2
    assert "the data as read: rows 400 then, 390 now" in capsys.readouterr().err
    earlier["environment"]["lightning-r2p"] = "0.0.1"
    (fitted / "lineage.json").write_text(json.dumps(earlier))
    assert main(["test", "--ckpt_path", checkpoint]) == 0
    assert "warning: the data as read: rows 400 then, 390 now" in capsys.readouterr().err


def test_own_code_its_repository_and_the_working_folder_are_recorded_and_changes_are_noticed(
    fit_args: FitArgs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".gitignore").write_text("runs\n__pycache__\n")
    (tmp_path / "own_network.py").write_text(OWN)
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.example")
    for words in (("init", "-q"), ("add", "own_network.py"), (*identity, "commit", "-q", "-m", "first")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    (tmp_path / "own_network.py").write_text(OWN + "# changed\n")
    (tmp_path / "new.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_network", raising=False)
    network = ("--model.network", "own_network.OwnNetwork", "--model.network.period", "24")
    assert main(fit_args(*network, "--data.series", "own_network.OwnTable", "--data.series.file", "waves.csv")) == 0
    folder = only_run(tmp_path / "runs")
    lineage = json.loads((folder / "lineage.json").read_text())
    assert list(lineage["own_code"]) == ["own_network"]
    assert lineage["folder"] == str(tmp_path)
    assert list(lineage["files"]) == [str(tmp_path / "waves.csv")]
    series = yaml.safe_load((folder / "config.yaml").read_text())["data"]["init_args"]["series"]
    assert series["init_args"]["file"] == str(tmp_path / "waves.csv")
    assert lineage["repository"]["left_out"] == [".gitignore", "waves.csv"]
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert lineage["repository"]["commit"] == head.strip() != lineage["framework"]["commit"]
    packed = package_lineage(
        run=RunFolder(folder), checkpoint=None, config=b"", data={}, seed=None, members=(), differences=()
    )
    assert packed["repository"] == {"commit": head.strip(), "patch_sha256": lineage["repository"]["patch"]}
    assert packed["framework"]["version"] == __version__
    restored = tmp_path / "restored"
    subprocess.run(["git", "clone", "-q", str(tmp_path), str(restored)], check=True)
    subprocess.run(["git", "apply", str(folder / "code.patch")], cwd=restored, check=True)
    assert (restored / "own_network.py").read_text() == OWN + "# changed\n"
    assert (restored / "new.py").read_text() == "x = 1\n"
    (tmp_path / "own_network.py").write_text(OWN + "# changed again\n")
    capsys.readouterr()
    trust = ("--trust", "own_network")
    assert main(["test", "--ckpt_path", str(folder / "checkpoints" / "best.ckpt"), *trust]) == 0
    said = f"code: {tmp_path / 'own_network.py'} has changed since the run was trained"
    assert f"warning: {said}" in capsys.readouterr().err
    assert f"- **{said}**" in (folder / "report.md").read_text()
