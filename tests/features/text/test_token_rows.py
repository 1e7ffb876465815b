"""FastTokenizer: the same ids by any path, truncation counted, and a file that says everything."""

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from features.text.token_rows import FastTokenizer
from tests.tiny_encoder import SENTENCES, tiny_tokenizer

TEXTS = [*SENTENCES, "", "Emma", "a film " * 40] * 4


@pytest.fixture
def tokenizer():
    return FastTokenizer(tiny_tokenizer(), max_length=12, pad_token_id=0)


def test_ids_are_the_same_one_by_one_in_a_batch_after_loading_and_of_the_library(tokenizer):
    content = tokenizer.to_json()
    rows = tokenizer.encode(TEXTS)
    assert np.array_equal(FastTokenizer.load(content).encode(TEXTS).ids, rows.ids)
    assert np.array_equal(tokenizer.encode(TEXTS, spans=True).ids, rows.ids)
    for text, row in zip(TEXTS, rows.rows(), strict=True):
        assert np.array_equal(tokenizer.encode([text]).ids, row)
    encodings = Tokenizer.from_str(content.decode()).encode_batch(TEXTS)
    assert [np.array(one.ids)[np.array(one.attention_mask) == 1].tolist() for one in encodings] == [
        row.tolist() for row in rows.rows()
    ]


def test_truncated_texts_are_counted_and_exact_fits_are_not(tokenizer):
    rows = tokenizer.encode(["", "a a a a a a a a a a", "a a a a a a a a a a a"])
    assert rows.lengths.tolist() == [2, 12, 12]
    assert rows.truncated.tolist() == [False, False, True]
    assert rows.ids[-1] == rows.ids[1], "the end token is kept"


def test_spans_are_characters_of_the_text(tokenizer):
    (text,) = texts = ["the film never ends"]
    rows = tokenizer.encode(texts, spans=True)
    words = [text[start:stop] for start, stop in rows.spans.tolist() if stop]
    assert "".join(words) == text.replace(" ", "")


def test_spans_go_with_the_ids_where_an_empty_text_is_one_padding_token():
    bare = tiny_tokenizer()
    bare.post_processor = TemplateProcessing(single="$A", special_tokens=[])
    rows = FastTokenizer(bare, max_length=12, pad_token_id=0).encode(["the film", "", "never ends"], spans=True)
    assert len(rows.spans) == len(rows.ids)
    assert rows.spans[rows.starts[1]].tolist() == [0, 0]


def test_a_length_without_room_and_a_damaged_file_are_refused():
    with pytest.raises(ValueError, match="max_length: 2 given, at least 3 needed"):
        FastTokenizer(tiny_tokenizer(), max_length=2, pad_token_id=0)
    with pytest.raises(ValueError, match="no fast tokenizer"):
        FastTokenizer.load(b"{}")
    with pytest.raises(ValueError, match="no truncation or padding"):
        FastTokenizer.load(tiny_tokenizer().to_str().encode())


def test_of_a_huge_text_the_words_with_its_first_tokens_are_read(tokenizer):
    huge = [" ".join(SENTENCES) * 200, " " * 10_000 + SENTENCES[0], "z" * 10_000 + " film"]
    raw = Tokenizer.from_str(tokenizer.to_json().decode())
    raw.no_padding()
    rows = tokenizer.encode(huge)
    assert [row.tolist() for row in rows.rows()] == [raw.encode(text).ids for text in huge]
    assert rows.truncated.tolist()[0::2] == [True, False]
