"""Tokenizer (`tokenizer.json`): text to tokens and back as in training, without torch."""

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
"""Name of text in a request, and of the input that it is converted to."""
_KEYS = {"level", "vocabulary", "end_of_line"}


@dataclass(frozen=True)
class Tokenizer:
    """Character or word tokenizer with a fixed vocabulary; unknown tokens become token 0.

    Attributes:
        level: `char`: each character is a token; `word`: words between whitespace, and `end_of_line` after each line.
        vocabulary: Text of each token; token 0 stands for unknown ones.
        end_of_line: Word that ends a line; None for characters.
    """

    level: Literal["char", "word"]
    vocabulary: tuple[str, ...]
    end_of_line: str | None = None

    @classmethod
    def from_json(cls, content: bytes) -> "Tokenizer":
        """Parses and checks the content of `tokenizer.json`.

        Args:
            content: UTF-8 JSON.

        Raises:
            PackageError: The file is invalid.
        """
        parsed = read_json(content, name="tokenizer.json")
        if not isinstance(parsed, dict) or set(parsed) != _KEYS:
            raise PackageError(f"tokenizer.json: the keys {', '.join(sorted(_KEYS))} needed")
        words = parsed["vocabulary"]
        if parsed["level"] not in ("char", "word"):
            raise PackageError(f"tokenizer.json: level {parsed['level']!r} given, allowed: char, word")
        if not isinstance(words, list) or len(words) < 2 or not all(isinstance(word, str) and word for word in words):
            raise PackageError("tokenizer.json: vocabulary: a list of two or more texts needed")
        if len(set(words)) < len(words):
            raise PackageError("tokenizer.json: vocabulary: a token occurs twice")
        if not isinstance(parsed["end_of_line"], str | None):
            raise PackageError("tokenizer.json: end_of_line: text or null needed")
        return cls(level=parsed["level"], vocabulary=tuple(words), end_of_line=parsed["end_of_line"])

    def to_json(self) -> bytes:
        """Serializes to the content of `tokenizer.json`."""
        return write_json({"level": self.level, "vocabulary": list(self.vocabulary), "end_of_line": self.end_of_line})

    def encode(self, text: str) -> Array:
        """Converts a text to tokens.

        Args:
            text: Any text.

        Returns:
            Tokens, int64 (L,).
        """
        return np.array([self._index.get(token, 0) for token in self._split(text)], dtype=np.int64)

    def unknown(self, text: str) -> list[str]:
        """Characters or words of a text that are not in the vocabulary, sorted."""
        return sorted({token for token in self._split(text) if token not in self._index})

    def decode(self, tokens: Sequence[int] | Array) -> str:
        """Converts tokens to text; words are joined by single spaces.

        Args:
            tokens: Integers (L,).
        """
        words = [self.vocabulary[int(token)] for token in tokens]
        if self.level == "char":
            return "".join(words)
        lines: list[str] = []
        line: list[str] = []
        for word in words:
            if word == self.end_of_line:
                lines.append(" ".join(line) + "\n")
                line = []
            else:
                line.append(word)
        return "".join(lines) + " ".join(line)

    def read(self, request: "Mapping[str, Any] | pl.DataFrame", bad: dict[int, str]) -> list[Array]:
        """Converts the `text` of each row of a request to tokens.

        Args:
            request: A dict with a text or a list of texts, or a table with a text column.
            bad: Row number to reason; rows with a missing or empty text are added.

        Raises:
            RequestError: The values are not text.
        """
        texts = request[TEXT]
        texts = [texts] if isinstance(texts, str) else list(texts)
        for row, text in enumerate(texts):
            if text is not None and not isinstance(text, str):
                raise RequestError(f"{TEXT}: {type(text).__name__} given in row {row}, text needed")
        encoded = [self.encode(text or "") for text in texts]
        for row, (text, tokens) in enumerate(zip(texts, encoded, strict=True)):
            if not len(tokens):
                bad.setdefault(row, f"{TEXT}: {'missing' if text is None else 'empty'}")
        return encoded

    @cached_property
    def _index(self) -> dict[str, int]:
        return {token: index for index, token in enumerate(self.vocabulary)}

    def _split(self, text: str) -> Sequence[str]:
        if self.level == "char":
            return text
        ends = [self.end_of_line] if self.end_of_line is not None else []
        return [token for line in text.splitlines() for token in (*line.split(), *ends)]
