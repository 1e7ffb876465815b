"""EntitiesInput: a package of a token classifier takes texts, and answers their entities with character offsets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from typing_extensions import override

from features.text.decoding import decode
from features.text.found_entities import ENTITIES, found_entities, label_scores
from features.text.tag_set import TagSet
from features.text.word_tokens import WordTokenizer, WordTokens
from lightning_app.packaging.format.errors import PackageError, RequestError
from lightning_app.packaging.format.fields import is_number, is_whole, need, texts_field
from lightning_app.packaging.format.manifest import TOKENIZER, Manifest
from lightning_app.packaging.format.raw_input import RawColumn, RawInputSpec
from lightning_app.packaging.format.strict_json import read_json, write_json
from lightning_app.packaging.runtime.raw_input import RawBatch, RawInput
from lightning_app.packaging.runtime.requests.records import MOST_RECORDS
from lightning_app.packaging.runtime.values import Array, Values

ANSWER = "entities"
OUTPUT = "tag_probabilities"
FILE = "entities.json"
TOKEN_IDS, MASK, SHAPES = "token_ids", "attention_mask", "word_shapes"
_FIELDS = {"column", "labels", "max_length"}
_PENALTY = "outside_penalty"
_TEXTS = 4096
"""Texts of a batch."""


@dataclass(frozen=True)
class _Keys:
    """Texts of a batch and their words; the windows of a text follow those of the one before."""

    texts: Sequence[str]
    words: Sequence[WordTokens]


class EntitiesInput(RawInput):
    """Texts as words in windows of tokens, as in training.

    Args:
        column: Name of the column with the text.
        tag_set: Tags that the model answers.
        tokenizer: Splits texts into words and sub-words.
        word_shapes: Whether the model takes the shapes of words.
        outside_penalty: Subtracted from the log-probability of `O` before the tags are chosen.
    """

    by_row = True

    def __init__(
        self,
        *,
        column: str,
        tag_set: TagSet,
        tokenizer: WordTokenizer,
        word_shapes: bool,
        outside_penalty: float = 0.0,
    ) -> None:
        self._column = column
        self._tag_set = tag_set
        self._tokenizer = tokenizer
        self._word_shapes = word_shapes
        self._outside_penalty = outside_penalty

    @classmethod
    @override
    def load(cls, files: Mapping[str, bytes], manifest: Manifest) -> "EntitiesInput":
        assert manifest.raw_input is not None
        name = manifest.raw_input.file
        column, labels, max_length, outside_penalty = _read_spec(files[name], name=name)
        try:
            tag_set = TagSet(labels)
            tokenizer = WordTokenizer.load(files[TOKENIZER], max_length=max_length)
        except ValueError as error:
            raise PackageError(f"{name}, {TOKENIZER}: {error}") from error
        (output,) = manifest.outputs
        if output.columns != tag_set.tags:
            raise PackageError(f"{name}: labels {', '.join(labels)}, the manifest has the tags {output.columns}")
        word_shapes = SHAPES in {spec.name for spec in manifest.inputs}
        return cls(
            column=column,
            tag_set=tag_set,
            tokenizer=tokenizer,
            word_shapes=word_shapes,
            outside_penalty=outside_penalty,
        )

    @override
    def prepare(self, table: pl.DataFrame, at: Any) -> Iterator[RawBatch]:
        if at is not None:
            raise RequestError("at: given, texts have no time")
        texts = table[self._column]
        if texts.dtype not in (pl.String, pl.Null, pl.Categorical, pl.Enum):
            raise RequestError(f"{self._column}: a column of {texts.dtype} given, texts needed")
        for start in range(0, max(len(table), 1), _TEXTS):
            part = texts[start : start + _TEXTS].cast(pl.String).to_list()
            rejected = {start + row: f"{self._column}: missing" for row, text in enumerate(part) if text is None}
            batch = self._batch([text for text in part if text is not None])
            yield RawBatch(
                values=batch.values,
                keys=batch.keys,
                rejected=rejected,
                notes=batch.notes,
                num_asked=len(part),
                num_rejected=len(rejected),
            )

    @override
    def prepare_records(self, records: Sequence[Mapping[str, Any]], at: Any) -> RawBatch | None:
        texts = [record.get(self._column) for record in records]
        if at is not None or len(texts) > MOST_RECORDS or not all(isinstance(text, str) for text in texts):
            return None
        return self._batch([str(text) for text in texts])

    def _batch(self, texts: Sequence[str]) -> RawBatch:
        words = list(self._tokenizer.words(texts))
        windows = [window for one in words for window in one.windows]
        values: dict[str, Any] = {}
        if windows:
            values[TOKEN_IDS] = [window.token_ids for window in windows]
            values[MASK] = [np.ones(len(window.token_ids), dtype=np.int64) for window in windows]
            if self._word_shapes:
                values[SHAPES] = [window.word_shapes for window in windows]
        cut = sum(one.num_cut for one in words)
        notes = [f"{cut:,} words are longer than {self._tokenizer.max_length} tokens: read by their first ones"]
        return RawBatch(values=values, keys=_Keys(texts, words), notes=notes if cut else (), num_asked=len(texts))

    @override
    def finish(self, batch: RawBatch, answer: Mapping[str, Any]) -> pl.DataFrame:
        return pl.DataFrame([pl.Series(ANSWER, self._entities(batch, answer), dtype=ENTITIES)])

    @override
    def finish_records(self, batch: RawBatch, answer: Mapping[str, Any]) -> dict[str, Any]:
        return {ANSWER: self._entities(batch, answer)}

    def word_probabilities(self, batch: RawBatch, answer: Mapping[str, Values]) -> list[Array]:
        """Probabilities of the tags of each text's words, float32 (N, T).

        Args:
            batch: A batch that `prepare` yielded.
            answer: Output name to values, windows first.
        """
        return list(self._of_words(batch.keys.words, answer[OUTPUT]))

    def _entities(self, batch: RawBatch, answer: Mapping[str, Values]) -> list[list[dict[str, Any]]]:
        keys: _Keys = batch.keys
        probabilities = self.word_probabilities(batch, answer)
        least = np.finfo(np.float32).tiny
        log_probabilities = [np.log(np.maximum(one, least)) for one in probabilities]
        tags = decode(log_probabilities, self._tag_set, outside_penalty=self._outside_penalty)
        return [
            found_entities(text, words.offsets, own, label_scores(one, own), self._tag_set)
            for text, words, one, own in zip(keys.texts, keys.words, probabilities, tags, strict=True)
        ]

    def _of_words(self, words: Sequence[WordTokens], windows: Values) -> Iterator[Array]:
        first = 0
        for one in words:
            own = np.zeros((len(one), len(self._tag_set)), dtype=np.float32)
            for number in range(len(one.windows)):
                held = one.window == number
                own[held] = windows[first + number][one.position[held]]
            first += len(one.windows)
            yield own


def _read_spec(content: bytes, *, name: str) -> tuple[str, list[str], int, float]:
    """Column, labels, most tokens of a window, and the penalty of `O`."""
    spec = read_json(content, name=name)
    known = isinstance(spec, dict) and set(spec) - {_PENALTY} == _FIELDS
    need(known, name, f"the keys {', '.join(sorted(_FIELDS))}, and {_PENALTY} or not", spec)
    assert isinstance(spec, dict)
    column, labels, max_length = (spec[key] for key in ("column", "labels", "max_length"))
    need(isinstance(column, str) and bool(column), f"{name}: column", "text", column)
    need(is_whole(max_length) and max_length >= 1, f"{name}: max_length", "a whole number from 1", max_length)
    penalty = spec.get(_PENALTY, 0.0)
    need(is_number(penalty), f"{name}: {_PENALTY}", "a number", penalty)
    return column, list(texts_field(labels, f"{name}: labels") or ()), max_length, float(penalty)


def entities_spec(column: str) -> RawInputSpec:
    """The manifest's description of the raw rows.

    Args:
        column: Name of the column with the text.
    """
    columns = (RawColumn(column, "text", "text"),)
    return RawInputSpec(kind="entities", file=FILE, columns=columns, min_rows=1, rows_of="row", files=(TOKENIZER,))


def entities_files(
    column: str, tag_set: TagSet, tokenizer: WordTokenizer, *, outside_penalty: float = 0.0
) -> dict[str, bytes]:
    """The files of the preparation, which `EntitiesInput.load` reads.

    Args:
        column: Name of the column with the text.
        tag_set: Tags that the model answers.
        tokenizer: Splits texts into words and sub-words.
        outside_penalty: Subtracted from the log-probability of `O` before the tags are chosen. One of 0 is not written,
            so that readers which know none take the package, and refuse others.
    """
    content = {"column": column, "labels": list(tag_set.labels), "max_length": tokenizer.max_length}
    if outside_penalty:
        content[_PENALTY] = outside_penalty
    return {FILE: write_json(content), TOKENIZER: tokenizer.to_json()}
