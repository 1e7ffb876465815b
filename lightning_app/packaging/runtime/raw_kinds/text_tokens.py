"""Tokens of texts as inputs of the ONNX graph: `token_ids` and `attention_mask`, and the tokenizer in the package."""

from collections.abc import Mapping, Sequence

import numpy as np

from features.pipeline import Layout
from features.sources import Notes
from features.text.token_rows import FastTokenizer
from lightning_app.packaging.format.errors import PackageError
from lightning_app.packaging.format.manifest import TOKENIZER, Manifest
from lightning_app.packaging.format.signature import TensorSpec
from lightning_app.packaging.runtime.values import Values

TOKEN_IDS, ATTENTION_MASK = "token_ids", "attention_mask"
SEQ_LEN = "seq_len"


def token_specs(tokenizer: FastTokenizer) -> tuple[TensorSpec, TensorSpec]:
    """Inputs of a graph that reads texts.

    Args:
        tokenizer: Of the texts.
    """
    shape = ("batch", SEQ_LEN)
    most = f"at most {tokenizer.max_length} tokens"
    return (
        TensorSpec(
            TOKEN_IDS,
            "int64",
            shape,
            unit=f"ids of {TOKENIZER}, {most}",
            num_values=tokenizer.vocab_size,
            padding=tokenizer.pad_token_id,
        ),
        TensorSpec(ATTENTION_MASK, "int64", shape, unit="1 token, 0 padding", num_values=2, padding=0),
    )


def tokenizer_of(layout: Layout, files: Mapping[str, bytes], manifest: Manifest) -> FastTokenizer | None:
    """The tokenizer of a package whose raw rows hold a text; None if no feature is one.

    Args:
        layout: Of the features.
        files: Content of the package's files by name.
        manifest: Manifest of the package.

    Raises:
        PackageError: The file is missing or damaged, or does not match the manifest.
        ModuleNotFoundError: The library `tokenizers` is missing.
    """
    assert manifest.raw_input is not None
    taken = TOKEN_IDS in {spec.name for spec in manifest.inputs}
    if bool(layout.texts) != taken:
        raise PackageError(
            f"{manifest.raw_input.file}: texts {', '.join(layout.texts) or 'none'}, the manifest's inputs "
            f"{'have' if taken else 'lack'} {TOKEN_IDS}: the fitted state of another version"
        )
    if not taken:
        return None
    if TOKENIZER not in manifest.raw_input.files:
        raise PackageError(f"raw_input.files: {TOKENIZER} needed for texts")
    return read_tokenizer(files[TOKENIZER], manifest)


def read_tokenizer(content: bytes, manifest: Manifest) -> FastTokenizer:
    """The tokenizer of a package.

    Args:
        content: The file `tokenizer.json` of Hugging Face, with truncation and padding.
        manifest: Manifest of the package, with an input `token_ids`.

    Raises:
        PackageError: The file is damaged, or does not match the manifest.
        ModuleNotFoundError: The library `tokenizers` is missing.
    """
    try:
        tokenizer = FastTokenizer.load(content)
    except ValueError as error:
        raise PackageError(f"{TOKENIZER}: {error}") from error
    stated = next(spec for spec in manifest.inputs if spec.name == TOKEN_IDS)
    of_file = (tokenizer.vocab_size, tokenizer.pad_token_id)
    if (stated.num_values, stated.padding) != of_file:
        raise PackageError(
            f"{TOKENIZER}: {of_file[0]:,} tokens, padded with {of_file[1]}; the manifest has {stated.num_values} and "
            f"{stated.padding}: the tokenizer of another model"
        )
    return tokenizer


def longest_tokens(tokenizer: FastTokenizer, row: Mapping[str, Values]) -> dict[str, Values]:
    """Inputs of a row whose text has as many tokens as texts may have.

    Args:
        tokenizer: Of the package.
        row: Input name to the values of one row.
    """
    return {**row, **{name: [np.resize(row[name][0], tokenizer.max_length)] for name in (TOKEN_IDS, ATTENTION_MASK)}}


def without_padding(
    arrays: Mapping[str, Values], *, names: Sequence[str] = (TOKEN_IDS, ATTENTION_MASK)
) -> dict[str, Values]:
    """Inputs of the graph with an array of tokens per row; those of a batch without tokens as they are.

    Args:
        arrays: Input name to values; `token_ids` and `attention_mask` (B, L), padded at the end of rows.
        names: Inputs with a value per token.
    """
    if TOKEN_IDS not in arrays:
        return dict(arrays)
    lengths = [int(mask.sum()) for mask in arrays[ATTENTION_MASK]]
    cut = {name: [row[:length] for row, length in zip(arrays[name], lengths, strict=True)] for name in names}
    return {**arrays, **cut}


def token_inputs(tokenizer: FastTokenizer, texts: Sequence[str], *, name: str, notes: Notes) -> dict[str, Values]:
    """Texts as inputs of the graph, one array per row.

    Args:
        tokenizer: Of the package.
        texts: Of the rows; empty where a row has none.
        name: Of the text, for notes.
        notes: Takes how many texts were cut, and how many are empty.
    """
    rows = tokenizer.encode(texts)
    most = tokenizer.max_length
    notes.add(name, f"have more than {most:,} tokens: answered from the first {most:,}", int(rows.truncated.sum()))
    notes.add(name, "have no text: answered as an empty one", sum(not text for text in texts))
    ids = rows.rows()
    return {TOKEN_IDS: ids, ATTENTION_MASK: [np.ones(len(row), dtype=np.int64) for row in ids]}
