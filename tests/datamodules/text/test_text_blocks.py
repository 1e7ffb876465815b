from pathlib import Path

import numpy as np
import polars as pl
import pytest

from datamodules.text import TableTexts, TextBlockDataModule
from tests.tiny_encoder import SENTENCES, tiny_causal


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_causal(tmp_path_factory.mktemp("blocks"))
    pl.DataFrame({"ask": ["a question :", "another :"], "text": SENTENCES[:2]}).write_csv(folder / "rows.csv")
    return folder


def blocks(folder: Path, **options: str) -> TextBlockDataModule:
    file = folder / "rows.csv"
    return TextBlockDataModule(
        text=TableTexts(train=file, val=file, **options), pretrained=str(folder), block_size=10, batch_size=2
    )


def test_every_token_is_predicted_once_and_documents_have_an_end(folder: Path) -> None:
    data = blocks(folder)
    dataset = data.dataset("val")
    batch = dataset.__getitems__(np.arange(len(dataset)))
    ids, counts = batch["token_ids"].numpy(), batch["counts"].numpy()
    predicted = ids[counts]
    expected = [token for row in data.tokenizer._tokenizer.encode_batch(list(SENTENCES[:2])) for token in row.ids[:0]]
    for text in SENTENCES[:2]:
        expected += [*data._tokenizer(1000).encode([text]).ids[1:], 0]
    np.testing.assert_array_equal(predicted, expected)
    assert ids[0, 0] == 0
    np.testing.assert_array_equal(ids[1:, 0], ids[:-1, -1])  # neighbours share a token


def test_of_a_document_with_a_prompt_what_follows_it_counts(folder: Path) -> None:
    data = blocks(folder, prompt="ask", separator=" ")
    tokens, counts = data.streams["train"]
    counts = counts.copy()
    counts[0] = False
    assert data.tokenizer.decode(tokens[counts]).split() == " ".join(SENTENCES[:2]).split()
    assert data.documents["train"][0] == f"a question : {SENTENCES[0]}"
