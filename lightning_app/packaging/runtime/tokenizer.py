"""Text to tokens and back, as the model was trained: what `tokenizer.json` says, without torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lightning_app.packaging.format.errors import PackageError, RequestError
from lightning_app.packaging.format.strict_json import read_json, write_json
from lightning_app.packaging.runtime.values import Array

if TYPE_CHECKING:
    import polars as pl

TEXT, TOKENS = "text", "tokens"
"""What a request calls text, and the input that it becomes."""
_KEYS = {"level", "vocabulary", "end_of_line"}


@dataclass(frozen=True)
class Tokenizer:
    """Characters or words of a fixed vocabulary; whatever it does not hold is token 0.

    Attributes:
        level: Tokens are characters (`char`), or words between blanks (`word`), each line ended by `end_of_line`.
        vocabulary: The text of each token; that of 0 stands for everything unknown.
        end_of_line: The word that ends a line; None for characters.
    """

    level: Literal["char", "word"]
    vocabulary: tuple[str, ...]
    end_of_line: str | None = None

    @classmethod
    def from_json(cls, content: bytes) -> "Tokenizer":
        """Checks the bytes of a `tokenizer.json`.

        Args:
            content: UTF-8 JSON.

        Raises:
            PackageError: Anything in it is not as it must be.
        """
        given = read_json(content, name="tokenizer.json")
        if not isinstance(given, dict) or set(given) != _KEYS:
            raise PackageError(f"tokenizer.json: the keys {', '.join(sorted(_KEYS))} needed")
        words = given["vocabulary"]
        if given["level"] not in ("char", "word"):
            raise PackageError(f"tokenizer.json: level {given['level']!r} given, allowed: char, word")
        if not isinstance(words, list) or len(words) < 2 or not all(isinstance(word, str) and word for word in words):
            raise PackageError("tokenizer.json: vocabulary: a list of two or more texts needed")
        if len(set(words)) < len(words):
            raise PackageError("tokenizer.json: vocabulary: a token stands there twice")
        if not isinstance(given["end_of_line"], str | None):
            raise PackageError("tokenizer.json: end_of_line: text or null needed")
        return cls(level=given["level"], vocabulary=tuple(words), end_of_line=given["end_of_line"])

    def to_json(self) -> bytes:
        """The bytes of a `tokenizer.json`."""
        return write_json({"level": self.level, "vocabulary": list(self.vocabulary), "end_of_line": self.end_of_line})

    def encode(self, text: str) -> Array:
        """Tokens of a text.

        Args:
            text: Any text.

        Returns:
            int64 (L,).
        """
        return np.array([self._index.get(token, 0) for token in self._split(text)], dtype=np.int64)

    def unknown(self, text: str) -> list[str]:
        """Characters or words of a text that the vocabulary does not hold, sorted."""
        return sorted({token for token in self._split(text) if token not in self._index})

    def decode(self, tokens: Sequence[int] | Array) -> str:
        """The text of tokens; blanks between words are one blank.

        Args:
            tokens: int (L,).
        """
        found = [self.vocabulary[int(token)] for token in tokens]
        if self.level == "char":
            return "".join(found)
        lines: list[str] = []
        line: list[str] = []
        for word in found:
            if word == self.end_of_line:
                lines.append(" ".join(line) + "\n")
                line = []
            else:
                line.append(word)
        return "".join(lines) + " ".join(line)

    def read(self, request: "Mapping[str, Any] | pl.DataFrame", bad: dict[int, str]) -> list[Array]:
        """Tokens of each row of a request's `text`.

        Args:
            request: A dict with a text or a list of texts, or a table with a column of text.
            bad: By row, why it cannot be answered; rows are added without a text, or with one that has no token.

        Raises:
            RequestError: It is not text.
        """
        texts = request[TEXT]
        texts = [texts] if isinstance(texts, str) else list(texts)
        for row, text in enumerate(texts):
            if text is not None and not isinstance(text, str):
                raise RequestError(f"{TEXT}: {type(text).__name__} given in row {row}, text needed")
        found = [self.encode(text or "") for text in texts]
        for row, (text, tokens) in enumerate(zip(texts, found, strict=True)):
            if not len(tokens):
                bad.setdefault(row, f"{TEXT}: {'missing' if text is None else 'empty'}")
        return found

    @cached_property
    def _index(self) -> dict[str, int]:
        return {token: place for place, token in enumerate(self.vocabulary)}

    def _split(self, text: str) -> Sequence[str]:
        if self.level == "char":
            return text
        ends = [self.end_of_line] if self.end_of_line is not None else []
        return [token for line in text.splitlines() for token in (*line.split(), *ends)]
