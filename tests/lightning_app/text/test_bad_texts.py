"""What is wrong with a model of texts or its data is said in one line, before anything is trained."""

from functools import partial
from pathlib import Path

import polars as pl
import pytest

from datamodules.tabular import RandomSplit
from datamodules.text import TextTableDataModule
from lightning_app.__main__ import main
from tests.lightning_app.text.small_texts import write_texts


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_texts(tmp_path, rows=40)


def _error(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main([*words]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data.pretrained", "empty"], "holds no model: no config.json, only nothing; a folder with config.json"),
        (["--data.pretrained", "tinny"], "tinny given, no such folder"),
        (["--data.pretrained", "org/absent"], "org/absent is no folder here and cannot be fetched from the hub"),
        (["--data.pretrained", "package:no_such_model"], "pip install no-such-model"),
        (["--data.max_length", "65"], "data.max_length: 65 given, the encoder"),
        (["--model.encoder.frozen_layers", "7"], "model.encoder.frozen_layers: 7 given"),
        (["--model.encoder.pretrained", "other"], "model.encoder.pretrained: other given, but the data has"),
        (["--model.task", "models.tasks.Regression"], "Regression predicts a number, but the label has 2 classes"),
        (["--model.pooling", "models.text.MeenPooling"], "MeenPooling"),
    ],
)
def test_a_wrong_option_is_named(
    config: Path,
    options: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    Path("empty").mkdir()
    assert message in _error(capsys, "fit", "-c", str(config), *options)


def test_a_wrong_column_of_a_text_names_the_nearest(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    features = config.with_name("features.yaml")
    features.write_text(features.read_text().replace("[title, text]", "[titel, text]"))
    assert "'title'" in _error(capsys, "fit", "-c", str(config))


def test_a_column_that_the_table_lacks_names_the_nearest(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pl.read_csv("reviews.csv").rename({"text": "texts"}).write_csv("reviews.csv")
    assert "no column 'text'; did you mean 'texts'?" in _error(capsys, "fit", "-c", str(config))


def test_a_label_outside_the_classes_is_refused_by_name(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pl.read_csv("reviews.csv")
    table.with_columns(liked=pl.Series(["maybe", *table["liked"][1:]])).write_csv("reviews.csv")
    assert "maybe" in _error(capsys, "fit", "-c", str(config))


def test_empty_and_cut_texts_are_counted(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pl.read_csv("reviews.csv")
    table.with_columns(title=pl.lit(None), text=pl.Series([None, "", "  ", *table["text"][3:]])).write_csv(
        "reviews.csv"
    )
    assert main(["fit", "-c", str(config), "--trainer.max_epochs", "1", "--data.max_length", "8"]) == 0
    output = capsys.readouterr()
    said = output.out + output.err
    assert "3 texts" in said or "3 rows" in said
    assert "8 tokens" in said


def test_the_place_of_the_tokens_does_not_change_the_fingerprint(config: Path) -> None:
    data = partial(
        TextTableDataModule, definitions="features.yaml", features=["review"], rows="reviews.csv", label="liked",
        classes=["no", "yes"], pretrained="tiny", max_length=32, split=RandomSplit(),
    )  # fmt: skip
    in_memory, made, read = data(), data(cache=Path("tokens")), data(cache=Path("tokens"))
    assert in_memory.fingerprint() == made.fingerprint() == read.fingerprint()
    assert made.tokens.ids.dtype != in_memory.tokens.ids.dtype
