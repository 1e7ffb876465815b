"""EntityDataModule: tags at the first sub-words, windows that lose nothing, labels and splits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from datamodules.tabular import RandomSplit
from datamodules.text.entity_data_module import EntityDataModule
from tests.text_entities import annotated_rows, write_rows
from tests.tiny_encoder import tiny_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tokenizer and files of texts."""
    folder = tmp_path_factory.mktemp("entities")
    (folder / "config.json").write_text("{}")
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    for seed, name in enumerate(("train", "val", "test")):
        write_rows(folder / f"{name}.jsonl", annotated_rows(20, seed=seed))
    return folder


def data_module(folder: Path, **options: Any) -> EntityDataModule:
    files = {name: folder / f"{name}.jsonl" for name in ("train", "val", "test")}
    return EntityDataModule(**{**files, "pretrained": str(folder), "max_length": 16, **options})


def test_tags_of_words_give_back_the_entities(folder: Path) -> None:
    data = data_module(folder)
    data.setup("fit")
    assert data.labels == ("person", "place")
    dataset = data.dataset("train")
    batch = dataset.__getitems__(np.arange(len(dataset)))
    flat = batch["token_ids"].flatten()
    for row, (one, words) in enumerate(zip(dataset.texts, dataset.words, strict=True)):
        target = batch["target"][row, : len(words)].tolist()
        spans = [
            (int(words.offsets[first, 0]), int(words.offsets[end - 1, 1]), label)
            for first, end, label in data.tag_set.spans(target)
        ]
        assert spans == [(entity.start, entity.end, entity.label) for entity in one.entities]
        assert not set(flat[batch["words"][row, : len(words)]].tolist()) & {0, 2, 3}  # no special token is a word
    assert (batch["target"][batch["words"] < 0] == -100).all()


def test_every_word_of_a_long_text_is_tagged_once_and_far_from_the_cuts(folder: Path, tmp_path: Path) -> None:
    text = " ".join(f"w{number}" for number in range(60)) + " Emma"
    rows = [{"text": text, "entities": [{"start": len(text) - 4, "end": len(text), "label": "person"}]}]
    data = data_module(folder, test=write_rows(tmp_path / "long.jsonl", rows))
    batch = data.dataset("test").__getitems__(np.array([0]))
    (words,) = data.words("test")
    assert len(words.windows) > 3
    assert batch["token_ids"].shape[1] <= 16
    assert len(set(batch["words"][0].tolist())) == len(words) == 61
    assert (batch["target"][0] == 1).sum() == 1
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for (start, end), place in zip(words.offsets.tolist(), batch["words"][0].tolist(), strict=True):
        first = tokenizer.encode(text[start:end], add_special_tokens=False).ids[0]
        assert batch["token_ids"].flatten()[place] == first
    assert "test: 1 texts read in several windows of 16 tokens" in data.notes()


def test_entities_that_no_tags_can_name_count_as_missed(folder: Path, tmp_path: Path) -> None:
    rows = [
        {"text": "Emma \u200b sang", "entities": [{"start": 5, "end": 6, "label": "place"}]},
        {"text": "Emma", "entities": [{"start": 0, "end": 4, "label": "planet"}]},
        {"text": "Emmas", "entities": [{"start": 0, "end": 4, "label": "person"}]},
    ]
    data = data_module(folder, test=write_rows(tmp_path / "odd.jsonl", rows))
    batch = data.dataset("test").__getitems__(np.arange(3))
    assert batch["target"].tolist() == [[0, 0, 3], [0, 5, -100], [1, -100, -100]]
    assert batch["words"].tolist()[0][2] == batch["words"].tolist()[1][1] == -1
    notes = data.notes()
    assert "test: 1 entities 'planet', a label that training lacks: counted as not found" in notes
    assert "test: 1 entities without a word of their own: counted as not found" in notes
    assert "test: 1 entities begin or end inside a word: tagged, and answered, as whole words" in notes


def test_splits_are_cut_from_one_file_or_refused(folder: Path) -> None:
    split = RandomSplit(train=0.6, val=0.2)
    data = data_module(folder, val=None, test=None, split=split)
    assert [len(data.texts[name]) for name in ("train", "val", "test")] == [12, 4, 4]
    data = data_module(folder, val=None, split=RandomSplit(train=0.8, val=0.2))
    assert [len(data.texts[name]) for name in ("train", "val", "test")] == [16, 4, 20]
    with pytest.raises(
        ValueError, match=r"cuts 4 texts for test, which has the file .*test.jsonl; give a split without"
    ):
        data_module(folder, val=None, split=split).texts  # noqa: B018
    with pytest.raises(ValueError, match=r"data.val: none given; give its file, or a split that cuts it"):
        data_module(folder, val=None)
    with pytest.raises(ValueError, match=r"data.split: given beside the files of all splits; leave it out"):
        data_module(folder, split=split)


def test_labels_outside_of_those_that_are_given_are_refused(folder: Path) -> None:
    with pytest.raises(
        ValueError, match=r"data.labels: .*train.jsonl, line \d+: an entity 'place', labels are person; add"
    ):
        data_module(folder, labels=["person"]).labels  # noqa: B018


def test_texts_without_words_do_not_train_but_are_tested(folder: Path, tmp_path: Path) -> None:
    rows = [{"text": "", "entities": []}, {"text": " ", "entities": []}, *annotated_rows(3)]
    file = write_rows(tmp_path / "empty.jsonl", rows)
    data = data_module(folder, train=file, test=file)
    assert len(data.dataset("train")) == 3
    batch = data.dataset("test").__getitems__(np.array([0, 1]))
    assert batch["words"].shape == (2, 0)
    assert batch["attention_mask"].sum(dim=1).tolist() == [2, 2]
    assert "test: 2 texts without a word" in data.notes()
    assert "test: 3 texts are training texts too" in data.notes()


def test_a_window_needs_room_for_words(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"data.max_length: 5 given, at least 6 tokens are needed"):
        data_module(folder, max_length=5).setup("fit")


def test_decomposed_accents_belong_to_their_word(folder: Path, tmp_path: Path) -> None:
    text = "met Zoe\u0301 Me\u0301ndez , e\u0301"
    rows = [{"text": text, "entities": [{"start": 4, "end": 16, "label": "person"}]}]
    data = data_module(folder, test=write_rows(tmp_path / "accents.jsonl", rows))
    (words,), (tags,) = data.words("test"), data.tagged("test")
    written = [text[start:end] for start, end in words.offsets.tolist()]
    assert written == ["met", "Zoe\u0301", "Me\u0301ndez", ",", "e\u0301"]
    assert tags.tags.tolist() == [0, 1, 2, 0, 0]
    assert tags.num_widened == 0
    assert words.windows[0].word_shapes.tolist().count(2) >= 2  # Capitalised: a mark is no change of case


def test_a_text_of_more_tokens_than_a_batch_is_a_batch_of_its_own(folder: Path, tmp_path: Path) -> None:
    rows = [{"text": "Emma sang " * 40, "entities": []}, *annotated_rows(5)]
    file = write_rows(tmp_path / "long.jsonl", rows)
    data = data_module(folder, train=file, test=file, max_tokens=32, batch_size=8)
    for loader in (data.train_dataloader(), data.test_dataloader()):
        sizes = [batch["row"].tolist() for batch in loader]
        assert [0] in sizes
        assert sorted(row for batch in sizes for row in batch) == [0, 1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match=r"data.max_tokens: 15 given, a text may have 16 \(data.max_length\)"):
        data_module(folder, max_tokens=15)
