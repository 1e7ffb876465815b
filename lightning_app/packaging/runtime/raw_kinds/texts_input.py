"""TextsInput: a package of a text model takes a column of texts, and answers each by itself."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
from typing_extensions import override

from features.sources import Notes
from features.text.token_rows import FastTokenizer
from lightning_app.packaging.format.errors import PackageError, RequestError
from lightning_app.packaging.format.manifest import TOKENIZER, Manifest
from lightning_app.packaging.format.raw_input import RawColumn, RawInputSpec
from lightning_app.packaging.runtime.raw_input import RawBatch, RawInput
from lightning_app.packaging.runtime.raw_kinds.text_tokens import (
    TOKEN_IDS,
    longest_tokens,
    read_tokenizer,
    token_inputs,
)
from lightning_app.packaging.runtime.requests.records import MOST_RECORDS
from lightning_app.packaging.runtime.text.tokenizer import TEXT
from lightning_app.packaging.runtime.values import Values

_ROWS = 4096


def texts_spec() -> RawInputSpec:
    """Raw input of a package that takes texts: the column `text`, and the tokenizer that reads it."""
    return RawInputSpec(
        kind="texts",
        file=TOKENIZER,
        columns=(RawColumn(TEXT, "text", "text"),),
        min_rows=0,
        rows_of="rows",
    )


class TextsInput(RawInput):
    """Tokens of texts, as in training.

    Args:
        tokenizer: The tokenizer.

    Attributes:
        tokenizer: The tokenizer.
    """

    by_row = True
    reads_texts = True

    def __init__(self, tokenizer: FastTokenizer) -> None:
        self.tokenizer = tokenizer

    @classmethod
    @override
    def load(cls, files: Mapping[str, bytes], manifest: Manifest) -> "TextsInput":
        if TOKEN_IDS not in {spec.name for spec in manifest.inputs}:
            raise PackageError(f"inputs: {TOKEN_IDS} needed for texts")
        return cls(read_tokenizer(files[TOKENIZER], manifest))

    @override
    def prepare(self, table: pl.DataFrame, at: Any) -> Iterator[RawBatch]:
        _refuse_time(at)
        column = table[TEXT]
        if column.dtype == pl.Null:
            column = column.cast(pl.String)
        if column.dtype != pl.String:
            raise RequestError(f"{TEXT}: {column.dtype} given, texts are needed")
        for start in range(0, max(len(column), 1), _ROWS):
            part = column[start : start + _ROWS]
            rejected = {start + row: f"{TEXT} is missing" for row in part.is_null().arg_true().to_list()}
            texts = part.drop_nulls().to_list()
            notes = Notes()
            values = token_inputs(self.tokenizer, texts, name=TEXT, notes=notes)
            yield RawBatch(
                values=values if texts else {},
                keys=None,
                rejected=rejected,
                notes=notes.lines(),
                counts=notes.counts,
                num_asked=len(part),
                num_rejected=len(rejected),
            )

    @override
    def prepare_records(self, records: Sequence[Mapping[str, Any]], at: Any) -> RawBatch | None:
        texts = [record.get(TEXT) for record in records]
        if at is not None or not 0 < len(texts) <= MOST_RECORDS or any(type(text) is not str for text in texts):
            return None
        notes = Notes()
        values = token_inputs(self.tokenizer, [str(text) for text in texts], name=TEXT, notes=notes)
        return RawBatch(values=values, keys={}, notes=notes.lines(), counts=notes.counts, num_asked=len(texts))

    @override
    def largest_row(self, row: Mapping[str, Values]) -> Mapping[str, Values]:
        return longest_tokens(self.tokenizer, row)

    @override
    def finish(self, batch: RawBatch, answer: Mapping[str, Any]) -> pl.DataFrame:
        return pl.DataFrame([pl.Series(name, values) for name, values in answer.items()])


def _refuse_time(at: Any) -> None:
    if at is not None:
        raise RequestError("at: given with texts, which have no time")
