"""Texts through the command line: fit, test, resume, export and score, also after the encoder's folder is gone."""

import shutil
from pathlib import Path

import polars as pl
import pytest
import torch

from lightning_app.__main__ import main
from lightning_app.packaging import Package
from models.text import TextClassifier
from tests.conftest import only_run
from tests.lightning_app.text.small_texts import write_texts


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run, whose encoder is gone."""
    folder = tmp_path_factory.mktemp("texts")
    config = write_texts(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["fit", "-c", str(config)]) == 0
    shutil.rmtree(folder / "tiny")
    return only_run(folder / "runs")


@pytest.fixture
def _beside(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parents[2])


@pytest.mark.slow
@pytest.mark.usefixtures("_beside")
def test_a_run_is_tested_exported_and_scored_without_the_folder_of_its_encoder(run: Path, tmp_path: Path) -> None:
    assert main(["test", "--ckpt_path", str(run), "--run.root", str(tmp_path / "other")]) == 0
    assert main(["export", str(run), "--output", str(tmp_path / "package")]) == 0
    texts = ["superb clever warm funny", "dull flat tedious lifeless"]
    answer = Package.load(tmp_path / "package").predict(pl.DataFrame({"title": ["a film", "a film"], "text": texts}))
    assert answer["label"].to_list() == ["yes", "no"]
    assert main(["score", str(tmp_path / "package"), "reviews.csv", "--output", str(tmp_path / "scored.parquet")]) == 0
    assert len(pl.read_parquet(tmp_path / "scored.parquet")) == 120


@pytest.mark.usefixtures("_beside")
def test_a_run_goes_on_without_the_folder_of_its_encoder(run: Path, tmp_path: Path) -> None:
    options = ["--trainer.max_epochs", "7", "--run.root", str(tmp_path)]
    assert main(["fit", "--ckpt_path", str(run), *options]) == 0
    saved = torch.load(only_run(tmp_path) / "checkpoints/last.ckpt", weights_only=True)
    assert saved["epoch"] == 6
    (files,) = saved["pretrained"].values()
    assert set(files) == {"config.json", "tokenizer.json"}


@pytest.mark.usefixtures("_beside")
def test_a_checkpoint_alone_loads_in_python(run: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone.ckpt"
    shutil.copy(run / "checkpoints/best.ckpt", alone)
    model = TextClassifier.load_from_checkpoint(alone).eval()
    assert model(**model.example_inputs()).shape == (2, 2)


@pytest.mark.slow
def test_text_and_table_meet_in_a_fusion(tmp_path: Path) -> None:
    config = write_texts(tmp_path)
    assert main(["fit", "-c", str(config), "-c", str(tmp_path / "fusion.yaml")]) == 0
    run = only_run(tmp_path / "runs")
    shutil.rmtree(tmp_path / "tiny")
    assert main(["export", str(run), "--output", "package"]) == 0
    row = {"title": ["a film"], "text": ["superb and warm"], "stars": [5], "shop": ["north"]}
    assert len(Package.load("package").predict(pl.DataFrame(row))) == 1
