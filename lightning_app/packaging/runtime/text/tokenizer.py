"""Tokenizer (`tokenizer.json`): text to tokens and back as in training, without torch."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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
_OPTIONAL = {"separator"}
MAX_LOG_PROBABILITIES = 2**26
"""Most numbers in the answer to one text, its tokens times the vocabulary: 256 MB."""


@dataclass(frozen=True)
class Tokenizer:
    """Character or word tokenizer with a fixed vocabulary; unknown tokens become token 0.

    Attributes:
        level: `char`: each character is a token; `word`: words between whitespace, and `end_of_line` after each line.
        vocabulary: Text of each token; token 0 stands for unknown ones.
        end_of_line: Word that ends a line; None for characters.
        separator: Text between the documents of a file; None if each file is one document.
    """

    level: Literal["char", "word"]
    vocabulary: tuple[str, ...]
    end_of_line: str | None = None
    separator: str | None = None

    @classmethod
    def from_json(cls, content: bytes) -> "Tokenizer":
        """Parses and checks the content of `tokenizer.json`.

        Args:
            content: UTF-8 JSON.

        Raises:
            PackageError: The file is invalid.
        """
        parsed = read_json(content, name="tokenizer.json")
        if not isinstance(parsed, dict) or set(parsed) - _OPTIONAL != _KEYS:
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
        separator = parsed.get("separator")
        if separator is not None and not (isinstance(separator, str) and separator):
            raise PackageError("tokenizer.json: separator: text or null needed")
        return cls(parsed["level"], tuple(words), parsed["end_of_line"], separator)

    def to_json(self) -> bytes:
        """Serializes to the content of `tokenizer.json`."""
        content = {"level": self.level, "vocabulary": list(self.vocabulary), "end_of_line": self.end_of_line}
        if self.separator is not None:  # versions before it read the other keys alone
            content["separator"] = self.separator
        return write_json(content)

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

    def documents(self, text: str) -> list[str]:
        """Documents of the text of a file, as in training; blank ones are left out."""
        parts = text.split(self.separator) if self.separator else [text]
        return [part for part in parts if part.strip()]

    def unknown_note(self, texts: Iterable[str | None]) -> str | None:
        """How many tokens of texts are not in the vocabulary, in words; None if all are.

        Args:
            texts: Any texts; missing ones are skipped.
        """
        unknown: Counter[str] = Counter()
        total = 0
        for text in texts:
            tokens = self._split(text or "")
            total += len(tokens)
            unknown.update(token for token in tokens if token not in self._index)
        if not unknown:
            return None
        shown = ", ".join(repr(token[:20]) for token, _ in unknown.most_common(5))
        return (
            f"{unknown.total():,} of {total:,} {self._plural} are not in the vocabulary and are read as "
            f"{self.vocabulary[0]}: {shown}{', ...' if len(unknown) > 5 else ''}"
        )

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
            bad: Row number to reason; rows with a missing, empty or too long text are added.

        Raises:
            RequestError: The values are not text.
        """
        texts = request[TEXT]
        texts = [texts] if isinstance(texts, str) else list(texts)
        for row, text in enumerate(texts):
            if text is not None and not isinstance(text, str):
                raise RequestError(f"{TEXT}: {type(text).__name__} given in row {row}, text needed")
        encoded = [self.encode(text or "") for text in texts]
        longest = MAX_LOG_PROBABILITIES // len(self.vocabulary)
        for row, (text, tokens) in enumerate(zip(texts, encoded, strict=True)):
            if len(tokens) > longest:
                bad.setdefault(
                    row,
                    f"{TEXT}: {len(tokens):,} {self._plural}, at most {longest:,} are answered at once with a "
                    f"vocabulary of {len(self.vocabulary):,}; split it, or read it in chunks with advance",
                )
            if not len(tokens):
                bad.setdefault(row, f"{TEXT}: {'missing' if text is None else 'empty'}")
        return encoded

    @property
    def _plural(self) -> str:
        return "characters" if self.level == "char" else "words"

    @cached_property
    def _index(self) -> dict[str, int]:
        return {token: index for index, token in enumerate(self.vocabulary)}

    def _split(self, text: str) -> Sequence[str]:
        if self.level == "char":
            return text
        ends = [self.end_of_line] if self.end_of_line is not None else []
        return [token for line in text.splitlines() for token in (*line.split(), *ends)]
