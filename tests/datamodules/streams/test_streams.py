from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules import EnglishTopics, TextFiles, TextStreamDataModule
from datamodules.streams.lanes import Chunk, LaneBatches
from lightning_app.__main__ import main
from tests.conftest import needs


def lanes(
    lengths: list[int], arrangement: str, num_lanes: int, *, chunk_size: int = 3, window: int = 3,
    seed: int | None = None, position: tuple[int, int] = (0, 0), rank: int = 0, world_size: int = 1,
) -> list[Chunk]:  # fmt: skip
    ends = np.cumsum(lengths)
    batches = LaneBatches(
        documents=np.stack([ends - lengths, ends], axis=1), num_lanes=num_lanes, chunk_size=chunk_size, window=window,
        arrangement=arrangement, seed=seed, rank=rank, world_size=world_size, position=lambda: position,  # type: ignore[arg-type]
    )  # fmt: skip
    found = list(batches)
    assert len(found) == len(batches) - position[1]
    return found


LENGTHS = st.lists(st.integers(1, 12), min_size=4, max_size=9)
ARRANGEMENTS = pytest.mark.parametrize("arrangement", ["packed", "aligned"])


@given(lengths=LENGTHS, num_lanes=st.integers(1, 4), window=st.integers(3, 8), seed=st.none() | st.integers(0, 5))
@ARRANGEMENTS
@settings(max_examples=40, deadline=None)
def test_every_row_is_new_once(
    arrangement: str, lengths: list[int], num_lanes: int, window: int, seed: int | None
) -> None:
    chunks = lanes(lengths, arrangement, num_lanes, window=window, seed=seed)
    rows = [chunk.rows[:, chunk.newest][chunk.read[:, chunk.newest]] for chunk in chunks]
    assert sorted(np.concatenate(rows)) == list(range(sum(lengths)))


@given(lengths=LENGTHS, num_lanes=st.integers(1, 4), seed=st.none() | st.integers(0, 5))
@ARRANGEMENTS
@settings(max_examples=40, deadline=None)
def test_a_lane_goes_on_with_the_next_row_or_says_that_it_starts_anew(
    arrangement: str, lengths: list[int], num_lanes: int, seed: int | None
) -> None:
    chunks = lanes(lengths, arrangement, num_lanes, seed=seed)
    rows, read, reset = (
        np.concatenate([getattr(chunk, name) for chunk in chunks], 1) for name in ("rows", "read", "reset")
    )
    starts = np.cumsum([0, *lengths])
    for lane in range(num_lanes):
        before = None
        for row, is_read, is_reset in zip(rows[lane], read[lane], reset[lane], strict=True):
            if is_read:
                assert is_reset == (before is None or row in starts)
                assert is_reset or row == before + 1
                before = row
    if arrangement == "aligned":
        assert not reset[:, np.arange(reset.shape[1]) % 3 > 0].any()


@ARRANGEMENTS
def test_epochs_are_equally_long_and_laid_out_anew(arrangement: str) -> None:
    lengths = [7, 2, 9, 4, 5, 1]
    first, again, second = (lanes(lengths, arrangement, 2, seed=1, position=(epoch, 0)) for epoch in (0, 0, 1))
    assert all(np.array_equal(a.rows, b.rows) for a, b in zip(first, again, strict=True))
    assert len(first) == len(second)
    assert any(not np.array_equal(a.rows, b.rows) for a, b in zip(first, second, strict=True))


@ARRANGEMENTS
def test_an_iteration_starts_at_its_position(arrangement: str) -> None:
    whole = lanes([7, 2, 9, 4], arrangement, 2, window=5)
    rest = lanes([7, 2, 9, 4], arrangement, 2, window=5, position=(0, 2))
    assert all(np.array_equal(a.rows, b.rows) for a, b in zip(whole[2:], rest, strict=True))


@ARRANGEMENTS
def test_ranks_own_every_other_lane(arrangement: str) -> None:
    lengths = [7, 2, 9, 4, 5, 1]
    whole = lanes(lengths, arrangement, 4)
    for rank in range(2):
        part = lanes(lengths, arrangement, 4, rank=rank, world_size=2)
        assert all(np.array_equal(a.rows[rank::2], b.rows) for a, b in zip(whole, part, strict=True))


def test_a_window_repeats_the_steps_before_its_newest_chunk() -> None:
    chunks = lanes([9], "packed", 1, window=5)
    assert [chunk.rows[0][chunk.read[0]].tolist() for chunk in chunks] == [[0, 1, 2], [1, 2, 3, 4, 5], [4, 5, 6, 7, 8]]
    assert chunks[1].newest.tolist() == [False, False, True, True, True]


def test_targets_are_the_next_tokens_and_the_last_of_a_document_has_none(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abcd\n\nbad\n\nc")
    data = TextStreamDataModule(
        text=TextFiles(train="a.txt", val="a.txt", separator="\n\n"), batch_size=1, chunk_size=4, window=None
    )
    batches = list(data.train_dataloader())
    letters = np.array(data.vocabulary)
    assert data.vocabulary == ("<unk>", "a", "b", "c", "d")
    seen = [
        ("".join(letters[batch["tokens"][batch["valid"]]]), "".join(letters[batch["targets"][batch["valid"]]]))
        for batch in batches
    ]
    assert seen == [("abcb", "bcda"), ("a", "d")]
    assert batches[0]["reset"].tolist() == [[True, False, False, True]]


def test_words_end_lines_and_rare_ones_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the cat the dog\nthe cat\n")
    data = TextStreamDataModule(
        text=TextFiles(train="a.txt", val="a.txt"), level="word", max_vocab_size=4, batch_size=1, chunk_size=8
    )
    assert data.vocabulary == ("<unk>", "<eos>", "cat", "the")
    (batch,) = data.val_dataloader()
    assert batch["tokens"][0, :7].tolist() == [3, 2, 3, 0, 1, 3, 2]
    assert data.protocol()["split"] == "a file per split; test is the validation file again"


def test_files_of_the_penn_treebank_are_taken_as_they_are() -> None:
    texts = {
        "train": " no it was n't <unk> \n  mr. <unk> was N \n",
        "valid": " it was <unk> \n",
        "test": " mr. <unk> \n",
    }
    for split, text in texts.items():
        Path(f"ptb.{split}.txt").write_text(text)
    source = TextFiles(train="ptb.train.txt", val="ptb.valid.txt", test="ptb.test.txt")
    data = TextStreamDataModule(text=source, level="word", batch_size=1, chunk_size=20)
    assert data.vocabulary == ("<unk>", "<eos>", "N", "it", "mr.", "n't", "no", "was")
    assert [data.fingerprint()["tokens"][split] for split in ("train", "val", "test")] == [11, 4, 3]
    assert data.notes() == []  # <unk> of the file is a word like any other
    (batch,) = data.test_dataloader()
    assert batch["tokens"][0, :2].tolist() == [4, 0]
    assert batch["targets"][batch["valid"]].tolist() == [0, 1]


def test_what_the_vocabulary_lacks_and_a_separator_that_stands_nowhere_are_said(
    stream_args: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("odd.txt").write_text("\ufeffab☃ab☃äb\n", encoding="utf-8")
    data = TextStreamDataModule(text=TextFiles(train="odd.txt", val="odd.txt"), batch_size=1, chunk_size=8)
    assert data.vocabulary == ("<unk>", "\n", "a", "b", "ä", "☃")  # and no byte order mark
    assert data.notes() == []
    assert main(stream_args("--trainer.fast_dev_run", "1", "--data.text.val", "odd.txt")) == 0
    assert (
        "data: val: 3 of 8 chars are not in the vocabulary and are read as <unk>: '☃', 'ä'" in capsys.readouterr().out
    )
    assert main(stream_args("--data.text.separator", r"\n\n", "--trainer.max_epochs", "1")) == 0
    assert r"data: the separator '\\n\\n' occurs in no file, so each file is one document" in capsys.readouterr().out


@needs("tinyshakespeare/input.txt")
def test_shakespeare_is_split_as_published() -> None:
    from datamodules import TinyShakespeare

    data = TextStreamDataModule(text=TinyShakespeare())
    fingerprint = data.fingerprint() if data.vocab_size else {}
    assert fingerprint["tokens"] == {"train": 1003854, "val": 111540, "test": 111540}
    assert data.vocab_size == 66


BAD = [
    (("--data.chunk_size", "0"), "data.chunk_size: 0 given, at least 1 is needed"),
    (("--data.window", "4"), "data.window: 4 given, at least chunk_size 8 is needed"),
    (("--data.max_vocab_size", "1"), "data.max_vocab_size: 1 given, at least 2 is needed"),
    (("--data.batch_size", "9000"), "data.batch_size: 9000 lanes cannot be filled with"),
    (("--data.batch_size", "900", "--data.arrangement", "aligned"), "documents; use fewer, or arrangement: packed"),
    (("--data.text.train", "nowhere.txt"), "data.text.train: nowhere.txt does not exist"),
    (("--data.text.val", "empty.txt"), "data.text.val: empty.txt is empty"),
    (("--data.text.val", "."), "data.text.val: . is a folder; give a file"),
    (("--data.text.val", "one.txt"), "data.text: the val text holds no two chars in a row"),
    (("--model.encoder.hidden_size", "0"), "encoder.hidden_size: 0 given, at least 1 is needed"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_input_is_named(
    options: tuple[str, ...], message: str, stream_args: object, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty.txt").write_text(" \n")
    Path("one.txt").write_text("x")
    assert main(stream_args(*options)) in (1, 2)  # type: ignore[operator]
    assert message in capsys.readouterr().err


def test_a_split_shorter_than_one_chunk_is_padded_and_counted_whole() -> None:
    Path("short.txt").write_text("abc")
    data = TextStreamDataModule(text=TextFiles(train="short.txt", val="short.txt"), batch_size=1, chunk_size=64)
    (batch,) = data.train_dataloader()
    assert batch["valid"].sum() == 2


def test_topics_are_split_by_document() -> None:
    splits = EnglishTopics().read(root=None)
    assert not set(splits["train"]) & set(splits["test"])
    assert sum(map(len, splits.values())) > 60


def test_predictions_are_tokens_as_text(stream_args: object) -> None:
    import polars as pl

    assert main(stream_args()) == 0  # type: ignore[operator]
    (checkpoint,) = Path("runs").glob("*/*/checkpoints/best.ckpt")
    assert main(["predict", "--ckpt_path", str(checkpoint)]) == 0
    (path,) = Path("runs").glob("*/*/predictions.parquet")
    table = pl.read_parquet(path)
    assert table.columns == ["document", "position", "token", "log_probability", "likeliest_token"]
    first = table.filter(pl.col("document") == 0).sort("position")
    text = Path("val.txt").read_text().split("\n\n")[0]
    assert "".join(first["token"]) == text[1:]
    assert set(table["token"]) <= set("abcdefghi ")
    assert (table["log_probability"] < 0).all()
