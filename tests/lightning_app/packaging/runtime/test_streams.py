"""Packages that carry a state from chunk to chunk, of numbers and of text."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from onnx import helper

from datamodules import TextFiles, TextStreamDataModule
from lightning_app.packaging import (
    BadRowsError,
    Package,
    PackageError,
    RequestError,
    StateSpec,
    TensorSpec,
    Tokenizer,
)  # fmt: skip
from tests.packages import manifest_of, onnx_model, package_of

TOKENIZER = Tokenizer(level="char", vocabulary=("<unk>", *"abcdefgh "))
HIDDEN = 6


def stream_package(folder: Path, *, seed: int = 0) -> Path:
    """Reads characters with an LSTM, and says how likely each next one is."""
    rng = np.random.default_rng(seed)
    tokens = TensorSpec("tokens", "int64", ("batch", "seq_len"))
    logits = TensorSpec("logits", "float32", ("batch", "seq_len", len(TOKENIZER.vocabulary)))
    state = [StateSpec(f"state_{place}", f"next_state_{place}", "float32", ("batch", HIDDEN), 0.5) for place in (0, 1)]
    nodes = [
        helper.make_node("Gather", ["embedding", "tokens"], ["embedded"]),
        helper.make_node("Transpose", ["embedded"], ["by_time"], perm=[1, 0, 2]),
        helper.make_node("Unsqueeze", ["state_0", "zero"], ["hidden"]),
        helper.make_node("Unsqueeze", ["state_1", "zero"], ["cell"]),
        helper.make_node(
            "LSTM", ["by_time", "w", "r", "", "", "hidden", "cell"], ["all", "last", "last_cell"], hidden_size=HIDDEN
        ),
        helper.make_node("Squeeze", ["all", "one"], ["outputs"]),
        helper.make_node("Transpose", ["outputs"], ["by_row"], perm=[1, 0, 2]),
        helper.make_node("MatMul", ["by_row", "out"], ["logits"]),
        helper.make_node("Squeeze", ["last", "zero"], ["next_state_0"]),
        helper.make_node("Squeeze", ["last_cell", "zero"], ["next_state_1"]),
    ]
    constants = {
        "embedding": rng.standard_normal((len(TOKENIZER.vocabulary), 4)).astype(np.float32),
        "w": rng.standard_normal((1, 4 * HIDDEN, 4)).astype(np.float32),
        "r": rng.standard_normal((1, 4 * HIDDEN, HIDDEN)).astype(np.float32),
        "out": rng.standard_normal((HIDDEN, len(TOKENIZER.vocabulary))).astype(np.float32),
        "zero": np.array([0]),
        "one": np.array([1]),
    }
    carried_in = [TensorSpec(spec.input, spec.dtype, spec.shape) for spec in state]
    carried_out = [TensorSpec(spec.output, spec.dtype, spec.shape) for spec in state]
    model = onnx_model(nodes, [tokens, *carried_in], [logits, *carried_out], constants)
    manifest = manifest_of(
        inputs=[tokens], outputs=[logits], state=tuple(state), layout="stream", tokenizer="tokenizer.json",
        family="recurrent", task="language_model",
    )  # fmt: skip
    return package_of(folder, manifest, model, {"text": ["abc", "cab"]}, tokenizer=TOKENIZER)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return Package.load(stream_package(tmp_path_factory.mktemp("packages") / "text"))


def test_chunks_with_their_state_are_answered_as_the_whole(package: Package) -> None:
    texts = ["abc dbca", "hgfe zza"]
    whole = package.predict({"text": texts})
    assert list(whole) == ["logits"]
    first, state = package.advance({"text": [text[:3] for text in texts]}, None)
    second, _ = package.advance({"text": [text[3:] for text in texts]}, state)
    joined = np.concatenate([first["logits"], second["logits"]], axis=1)
    np.testing.assert_allclose(joined, whole["logits"], rtol=1e-5, atol=1e-6)
    forgotten = package.predict({"text": [text[3:] for text in texts]})["logits"]
    assert np.abs(forgotten - second["logits"]).max() > 1e-2


def test_streams_of_different_lengths_keep_their_own_state(package: Package) -> None:
    texts, more = ["abc", "defgh", "a", "hgf"], ["b", "ccc", "da", "e"]
    answer, state = package.advance(pl.DataFrame({"text": texts}), None)
    assert answer.schema["logits"] == pl.List(pl.Array(pl.Float32, 10))
    together, _ = package.advance({"text": more}, state)
    for row, (text, rest) in enumerate(zip(texts, more, strict=True)):
        alone = package.predict({"text": [text + rest]})["logits"][0]
        np.testing.assert_allclose(answer["logits"][row].to_numpy(), alone[: len(text)], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(together["logits"][row], alone[len(text) :], rtol=1e-5, atol=1e-6)


def test_text_and_its_tokens_have_the_same_answer(package: Package) -> None:
    tokens = TOKENIZER.encode("abc?")
    assert tokens.tolist() == [1, 2, 3, 0]
    of_tokens = package.predict({"tokens": tokens[None]})["logits"]
    np.testing.assert_array_equal(of_tokens, package.predict({"text": "abc?"})["logits"])


@pytest.mark.parametrize("texts", [["ab", None], ["ab", ""]])
def test_a_row_without_text_is_a_bad_row(package: Package, texts: list[str | None]) -> None:
    with pytest.raises(BadRowsError) as error:
        package.predict(pl.DataFrame({"text": texts}))
    assert list(error.value.rows) == [1]


def test_what_is_no_text_is_refused(package: Package) -> None:
    with pytest.raises(RequestError, match="text: int given in row 1, text needed"):
        package.predict({"text": ["a", 1]})
    with pytest.raises(RequestError, match="text: int given in row 0, text needed"):
        package.predict(pl.DataFrame({"text": [1]}))
    with pytest.raises(RequestError, match="tokens: not given"):
        package.predict({"words": ["a"]})


def test_a_state_of_other_rows_is_refused(package: Package) -> None:
    _, state = package.advance({"text": ["ab"]}, None)
    with pytest.raises(RequestError, match="state: state_0 is not what the call before returned"):
        package.advance({"text": ["ab", "cd"]}, state)
    with pytest.raises(RequestError, match="state: state_0 given, state_0, state_1 needed"):
        package.advance({"text": ["ab"]}, {"state_0": state["state_0"]})


@pytest.mark.parametrize("level", ["char", "word"])
def test_the_tokenizer_reads_text_as_the_training_did(tmp_path: Path, level: str) -> None:
    text = "the cat\nsat  on the mat\n\nand the dog \n"
    (tmp_path / "train.txt").write_text(text)
    (tmp_path / "val.txt").write_text("the dog sat\non a mat")
    source = TextFiles(train=str(tmp_path / "train.txt"), val=str(tmp_path / "val.txt"))
    data = TextStreamDataModule(text=source, level=level)
    end = "<eos>" if level == "word" else None
    tokenizer = Tokenizer(level=level, vocabulary=data.vocabulary, end_of_line=end)
    tokenizer = Tokenizer.from_json(tokenizer.to_json())
    for split, name in (("train", "train.txt"), ("val", "val.txt")):
        tokens = data.dataset(split).tokens[:-1].tolist()
        assert tokenizer.encode((tmp_path / name).read_text()).tolist() == tokens
    assert tokenizer.decode(tokenizer.encode("the cat\nsat")).rstrip() == "the cat\nsat"


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"{}",
        b'{"level": "byte", "vocabulary": ["a", "b"], "end_of_line": null}',
        b'{"level": "char", "vocabulary": ["a"], "end_of_line": null}',
        b'{"level": "char", "vocabulary": ["a", "a"], "end_of_line": null}',
        b'{"level": "char", "vocabulary": ["a", 1], "end_of_line": null}',
        b'{"level": "char", "vocabulary": ["a", "b"], "end_of_line": 1}',
        b'{"level": "char", "vocabulary": ["a", "b"], "end_of_line": null, "code": ""}',
    ],
)
def test_a_tokenizer_that_is_not_as_it_must_be_is_refused(content: bytes) -> None:
    with pytest.raises(PackageError, match="tokenizer.json"):
        Tokenizer.from_json(content)


PLACES = {
    "below 0": ([-1], "tokens: -1 given, whole numbers from 0 to 9 are allowed"),
    "beyond the vocabulary": ([1, 10], "tokens: 10 given, whole numbers from 0 to 9"),
    "null": (None, "tokens: missing"),
    "a null token": ([None], "tokens: a number is missing"),
    "none at all": ([], "tokens: 0 given"),
}


@pytest.mark.parametrize(("tokens", "reason"), PLACES.values(), ids=PLACES)
def test_tokens_that_are_none_reject_their_row(package: Package, tokens: Any, reason: str) -> None:
    rows = {"tokens": [[1, 2], tokens]}
    for request in (rows, pl.DataFrame(rows), pd.DataFrame(rows)):
        with pytest.raises(BadRowsError) as error:
            package.predict(request)
        assert {row: why.startswith(reason) for row, why in error.value.rows.items()} == {1: True}


def test_a_missing_text_rejects_its_row(package: Package) -> None:
    for request in ({"text": ["ab", None, ""]}, pl.DataFrame({"text": ["ab", None, ""]})):
        with pytest.raises(BadRowsError) as error:
            package.predict(request)
        assert error.value.rows == {1: "text: missing", 2: "text: empty"}
