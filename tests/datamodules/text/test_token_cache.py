"""The cache of tokens: read on the second start, made anew where damaged, left out where the disk is full."""

import threading
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from datamodules.text.text_rows import token_batch
from datamodules.text.token_cache import cached_tokens
from features.text.token_rows import FastTokenizer, TokenRows
from tests.full_disk import files_of_at_most
from tests.tiny_encoder import SENTENCES, tiny_tokenizer

TEXTS = [*SENTENCES, "", "unknown words \u2603 \U0001f389", " ".join(["film"] * 40)]


def tokens_of(texts: list[str] = TEXTS, *, max_length: int = 24) -> tuple[TokenRows, list[str]]:
    file = Path("tokenizer.json")
    if not file.exists():
        tiny_tokenizer().save(str(file))
    tokenizer = FastTokenizer(Tokenizer.from_file(str(file)), max_length=max_length, pad_token_id=0)
    return cached_tokens(texts, tokenizer, tokenizer_file=file, cache=Path("cache"))


def same(ours: TokenRows, theirs: TokenRows) -> bool:
    names = ("ids", "starts", "truncated")
    return all(np.array_equal(getattr(ours, name), getattr(theirs, name)) for name in names)


def test_the_second_start_reads_what_the_first_one_stored() -> None:
    made, (said,) = tokens_of()
    assert f"of {len(TEXTS)} texts cached" in said
    assert " MB: cache/" in said
    read, (said,) = tokens_of()
    assert f"of {len(TEXTS)} texts read from cache/" in said
    assert isinstance(read.ids, np.memmap)
    assert read.ids.dtype == np.uint16
    assert same(made, read)
    assert made.truncated.tolist() == [False] * 8 + [True]


def test_other_texts_or_lengths_are_other_entries() -> None:
    tokens_of()
    assert "cached" in tokens_of(max_length=20)[1][0]
    assert "cached" in tokens_of(TEXTS[::-1])[1][0]
    assert "cached" in tokens_of([TEXTS[0] + TEXTS[1], *TEXTS[2:]])[1][0]  # the same characters, cut elsewhere
    assert len(list(Path("cache").iterdir())) == 4


@pytest.mark.parametrize("damage", ["ids", "starts", "truncated", "entry", "cut", "gone"])
def test_a_damaged_entry_is_said_and_made_anew(damage: str) -> None:
    made, _ = tokens_of()
    (entry,) = Path("cache").iterdir()
    file = entry / {"cut": "ids.npy", "gone": "ids.npy", "entry": "entry.json"}.get(damage, f"{damage}.npy")
    content = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(content[:-4])
    else:
        content[-1] ^= 1
        file.write_bytes(content)
    tokens, remarks = tokens_of()
    assert "is damaged (" in remarks[0]
    assert "cached" in remarks[1]
    assert same(tokens, made)
    assert "read from" in tokens_of()[1][0]


def test_a_full_disk_leaves_tokens_in_memory_and_nothing_behind() -> None:
    Path("cache").mkdir()
    tokens_of([])
    with files_of_at_most(200):
        tokens, (said,) = tokens_of()
    assert "texts not cached, cache: File too large" in said
    assert len(tokens) == len(TEXTS)
    assert len(list(Path("cache").iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_said() -> None:
    Path("cache").write_text("a file")
    tokens, (said,) = tokens_of()
    assert "not cached, cache: Not a directory" in said
    assert len(tokens) == len(TEXTS)


def test_several_processes_may_write_the_same_entry() -> None:
    tokens_of([])
    results: list[TokenRows] = []
    threads = [threading.Thread(target=lambda: results.append(tokens_of()[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same(results[0], other) for other in results[1:])
    assert "read from" in tokens_of()[1][0]
    assert not [path for path in Path("cache").iterdir() if path.name.startswith(".")]


def test_batches_are_padded_to_their_longest_text() -> None:
    tokens, _ = tokens_of()
    rows = np.array([8, 6, 0])
    batch = token_batch(tokens, rows, 0)
    assert batch["token_ids"].shape == (3, 24)
    assert batch["attention_mask"].sum(dim=1).tolist() == tokens.lengths[rows].tolist()
    for place, row in enumerate(rows):
        kept = batch["token_ids"][place][batch["attention_mask"][place].bool()]
        assert kept.tolist() == tokens.rows()[row].tolist()
    assert token_batch(tokens, np.array([], dtype=np.int64), 0)["token_ids"].shape == (0, 1)
