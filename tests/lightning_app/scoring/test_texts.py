"""Packages of language models answer text files and tables of texts, and say what they cannot read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.packaging import BadRowsError, Package
from lightning_app.packaging.runtime.text import tokenizer
from tests.families import TrainedFamily


@pytest.fixture
def package(family: Callable[[str], TrainedFamily]) -> Path:
    return family("language_model").package


def score(package: Path, data: Path, *options: str) -> pl.DataFrame:
    assert main(["score", str(package), str(data), "--output", "scored.parquet", *options]) == 0
    return pl.read_parquet("scored.parquet")


def test_the_text_file_of_a_fit_is_scored_by_document(
    package: Path, family: Callable[[str], TrainedFamily], tmp_path: Path
) -> None:
    text = (family("language_model").folder / "val.txt").read_text()
    data = tmp_path / "texts.txt"
    data.write_text(text)
    documents = [part for part in text.split("\n\n") if part.strip()]
    scored = score(package, data)
    assert scored["document"].to_list() == list(range(len(documents)))
    expected = Package.load(package).predict(pl.DataFrame({"text": documents}))
    for actual, wanted in zip(scored["log_probabilities"], expected["log_probabilities"], strict=True):
        np.testing.assert_allclose(actual.to_list(), wanted.to_list(), atol=1e-5)


def test_keys_come_back_and_unknown_characters_are_counted_once(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "texts.csv"
    pl.DataFrame({"id": ["x", "y", "z"], "text": ["abz", None, "aQz"]}).write_csv(data)
    scored = score(package, data, "--max-rejected", "1")
    assert scored["id"].to_list() == ["x", "z"]
    assert capsys.readouterr().out.count("3 of 6 characters are not in the vocabulary and are read as <unk>: ") == 1
    assert pl.read_parquet("scored.rejected.parquet")["reason"].to_list() == ["text: missing"]
    with pytest.warns(UserWarning, match="3 of 6 characters are not in the vocabulary.*'z', 'Q'"):
        Package.load(package).predict({"text": ["abz", "aQz"]})


def test_a_text_too_long_to_be_answered_at_once_is_rejected(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = Package.load(package)
    assert loaded.tokenizer is not None
    monkeypatch.setattr(tokenizer, "MAX_LOG_PROBABILITIES", 5 * len(loaded.tokenizer.vocabulary))
    with pytest.raises(BadRowsError, match="text: 6 characters, at most 5 are answered at once .* in chunks"):
        loaded.predict({"text": ["ab", "abcdef"]})
    assert loaded.predict({"text": ["abcde"]})["log_probabilities"].shape[1] == 5
