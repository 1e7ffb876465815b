"""Run folders: their names and order, what a command takes and where it writes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from lightning_app.__main__ import main
from lightning_app.cli import run
from tests.conftest import only_run, run_folders

FitArgs = Callable[..., list[str]]


@pytest.mark.parametrize("options", [("--run.name", "../../x"), ("--run.name", "a\x1b[31m", "--ckpt_path", "last")])
def test_a_name_that_leads_out_of_the_root_or_cannot_be_printed_is_refused(
    options: tuple[str, ...], fit_args: FitArgs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_args(*options)) == 2
    assert f"run.name: {options[1]!r} given" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_last_is_the_run_that_was_started_last_whatever_clock_named_it(
    fit_args: FitArgs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_args()) == 0
    newest = only_run(tmp_path / "runs")
    other_zone = newest.with_name("20991231-235959-0000")
    shutil.copytree(newest, other_zone)
    lineage = json.loads((newest / "lineage.json").read_text())
    (other_zone / "lineage.json").write_text(json.dumps({**lineage, "created": "2020-01-01T00:00:00+00:00"}))
    for kind, verb in (("last", "fit"), ("best", "test")):
        capsys.readouterr()
        assert main(fit_args("--ckpt_path", kind, verb=verb)) == 0
        assert f"{kind}: {newest / 'checkpoints' / kind}.ckpt" in capsys.readouterr().out


def test_best_is_of_the_newest_run_on_all_data_and_says_which(
    fit_args: FitArgs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_args("--trainer.limit_train_batches", "1.0", "--trainer.max_epochs", "1")) == 0
    whole = only_run(tmp_path / "runs")
    assert main(fit_args("--trainer.max_epochs", "1")) == 0
    capsys.readouterr()
    assert main(fit_args("--ckpt_path", "best", verb="test")) == 0
    said = capsys.readouterr().out
    assert "best: 1 newer runs on a part of the data are left out" in said
    assert f"best: {whole / 'checkpoints' / 'best.ckpt'}" in said
    assert (whole / "report.md").exists()
    assert f"config: {(whole / 'config.yaml').relative_to(tmp_path)}, as the run was fitted; " in said
    assert f"{tmp_path / 'small.yaml'} is not read" in said


@pytest.mark.slow
def test_a_run_folder_that_was_copied_elsewhere_is_tested_written_beside_and_resumed(
    fit_args: FitArgs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("runs").mkdir()
    assert main(fit_args("--run.root", "runs", "--trainer.max_epochs", "1")) == 0
    first = only_run(tmp_path / "runs")
    assert yaml.safe_load((first / "config.yaml").read_text())["run"]["root"] == "runs"
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(first, elsewhere / "copy")
    monkeypatch.chdir(elsewhere)
    kept = {path: path.read_bytes() for path in Path("copy").rglob("*") if path.is_file()}
    assert main(["test", "--ckpt_path", "copy", "--output", "out"]) == 0
    assert {path: path.read_bytes() for path in Path("copy").rglob("*") if path.is_file()} == kept
    assert "test/mse" in json.loads(Path("out/metrics.json").read_text())
    assert main(["test", "--ckpt_path", "copy", "--output", "out"]) == 2
    assert "output: 'out' exists; give a new folder" in capsys.readouterr().err
    assert main(["fit", "--ckpt_path", "copy", "--output", "new"]) == 2
    assert main(["test", "--ckpt_path", "copy"]) == 0
    assert Path("copy/report.md").read_text().startswith("# small\n")
    resumed = run(["fit", "--ckpt_path", "copy", "--trainer.max_epochs", "2"]).folder.path
    assert resumed.resolve().parent == elsewhere / "runs" / "small"
    again = run(["fit", "--ckpt_path", str(first), "--trainer.max_epochs", "2"]).folder.path
    assert again.resolve().parent == first.parent


def test_a_seed_that_is_drawn_is_said_and_recorded(
    fit_args: FitArgs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(fit_args("--seed_everything", "true", "--trainer.max_steps", "1")) == 0
    drawn = [
        yaml.safe_load((folder / "config.yaml").read_text())["seed_everything"]
        for folder in run_folders(tmp_path / "runs")
    ]
    said = capsys.readouterr().out
    assert len({*drawn}) == len(drawn)
    assert all(f"seed: {seed}, drawn; --seed_everything {seed} repeats the run" in said for seed in drawn)


def test_relative_paths_of_texts_mean_the_same_files_from_another_folder(
    stream_args: FitArgs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(stream_args("--data.text.train", "train.txt", "--data.text.val", "val.txt")) == 0
    folder = only_run(tmp_path / "runs")
    files = json.loads((folder / "lineage.json").read_text())["files"]
    assert [*files] == [str(tmp_path / "train.txt"), str(tmp_path / "val.txt")]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["test", "--ckpt_path", str(folder)]) == 0
