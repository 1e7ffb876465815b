"""FastTokenizer: texts to token ids, the same in training and in packages; needs the library `tokenizers` alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

_AT_ONCE = 4096
"""Texts that are encoded together: their encodings take far more memory than the ids."""
_CHARACTERS_PER_TOKEN = 32
"""More than tokens have but for blanks and unknown words."""
_FEW = 16
"""Texts up to which threads cost more than they save."""


@dataclass(frozen=True)
class TokenRows:
    """Token ids of texts, one after another.

    Attributes:
        ids: Ids of all texts, int32 (T,).
        starts: Where each text begins in `ids`, and the end of the last, int64 (N + 1,).
        truncated: Which texts had more tokens than were kept, bool (N,).
        spans: First and behind-last character of each token in its text, int32 (T, 2), (0, 0) for special tokens; None
            if they were not asked for.
    """

    ids: np.ndarray
    starts: np.ndarray
    truncated: np.ndarray
    spans: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text, int64 (N,)."""
        return np.diff(self.starts)

    def rows(self) -> list[np.ndarray]:
        """The ids of each text, int64 (L,)."""
        return np.split(self.ids.astype(np.int64), self.starts[1:-1]) if len(self) else []


class FastTokenizer:
    """A Hugging Face tokenizer that keeps the first `max_length` tokens of a text, special tokens included.

    Args:
        tokenizer: The tokenizer; its own truncation and padding are replaced, and it belongs to this object.
        max_length: Most tokens of a text.
        pad_token_id: Id that fills shorter rows of a batch.

    Attributes:
        max_length: Most tokens of a text.
        pad_token_id: Id that fills shorter rows of a batch.

    Raises:
        ValueError: `max_length` leaves no room beside the special tokens.
    """

    def __init__(self, tokenizer: "Tokenizer", *, max_length: int, pad_token_id: int) -> None:
        special = tokenizer.num_special_tokens_to_add(is_pair=False)
        if max_length <= special:
            raise ValueError(
                f"max_length: {max_length} given, at least {special + 1} needed: the tokenizer adds {special} special "
                "tokens to each text"
            )
        self.max_length = max_length
        self.pad_token_id = pad_token_id
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length)
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, content: bytes) -> "FastTokenizer":
        """Reads what `to_json` writes: a `tokenizer.json` whose truncation and padding are those of the model.

        Args:
            content: UTF-8 JSON.

        Raises:
            ValueError: The file is damaged, or says nothing about truncation or padding.
            ModuleNotFoundError: The library `tokenizers` is missing.
        """
        tokenizer = parse_tokenizer(content)
        truncation, padding = tokenizer.truncation, tokenizer.padding
        if truncation is None or padding is None:
            raise ValueError("no truncation or padding: a tokenizer.json with both, as an export writes it, is needed")
        return cls(tokenizer, max_length=truncation["max_length"], pad_token_id=padding["pad_id"])

    def to_json(self) -> bytes:
        """The tokenizer as `tokenizer.json` of Hugging Face, with its truncation and padding; read by `load`."""
        tokenizer = parse_tokenizer(self._tokenizer.to_str().encode())
        name = tokenizer.id_to_token(self.pad_token_id) or ""
        tokenizer.enable_padding(pad_id=self.pad_token_id, pad_token=name)
        return tokenizer.to_str().encode()

    @cached_property
    def vocab_size(self) -> int:
        """Number of ids, added tokens included: the largest and one."""
        return max(self._tokenizer.get_vocab().values()) + 1

    def token(self, token_id: int) -> str | None:
        """The token of an id; None if there is none."""
        token: str | None = self._tokenizer.id_to_token(token_id)
        return token

    def encode(self, texts: Sequence[str], *, spans: bool = False) -> TokenRows:
        """Token ids of texts.

        Args:
            texts: Any texts; an empty one has the special tokens alone, or one padding token where there are none.
            spans: Whether to keep which characters each token stands for.

        Raises:
            ValueError: A text holds half of a surrogate pair.
        """
        ids: list[list[int]] = []
        places: list[tuple[int, int]] = []
        truncated = np.zeros(len(texts), dtype=bool)
        for start in range(0, len(texts), _AT_ONCE):
            part = texts[start : start + _AT_ONCE]
            try:
                encodings = self._encodings(part, spans=spans)
            except TypeError as error:
                raise not_unicode(part) from error
            for row, encoding in enumerate(encodings, start):
                ids.append(encoding.ids or [self.pad_token_id])
                if len(ids[-1]) == self.max_length:
                    truncated[row] = bool(encoding.overflowing)
                if spans:
                    places += encoding.offsets or [(0, 0)]
        starts = np.zeros(len(texts) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in ids], out=starts[1:])
        joined = np.fromiter((token for row in ids for token in row), dtype=np.int32, count=int(starts[-1]))
        return TokenRows(
            ids=joined,
            starts=starts,
            truncated=truncated,
            spans=np.array(places, dtype=np.int32).reshape(-1, 2) if spans else None,
        )

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """Text of token ids, without special tokens."""
        return str(self._tokenizer.decode([int(token) for token in ids]))

    def _encodings(self, texts: Sequence[str], *, spans: bool) -> "list[Encoding]":
        tokenizer = self._tokenizer
        starts = [self._start_of(text) for text in texts]
        if len(texts) <= _FEW:
            encodings = [tokenizer.encode(text) for text in starts]
        else:
            encodings = tokenizer.encode_batch(starts) if spans else tokenizer.encode_batch_fast(starts)
        for row, (text, start) in enumerate(zip(texts, starts, strict=True)):
            if len(start) < len(text) and not encodings[row].overflowing:  # its tokens are uncommonly long
                encodings[row] = tokenizer.encode(text)
        return encodings

    def _start_of(self, text: str) -> str:
        """The words of a long text that hold its first tokens, so that a huge one takes no longer than a long one."""
        most = _CHARACTERS_PER_TOKEN * self.max_length
        if len(text) <= most:
            return text
        start, blank, _ = text[:most].rpartition(" ")
        return start if blank else text


def not_unicode(texts: Sequence[str]) -> ValueError:
    """The error of texts that `tokenizers` refuses with a TypeError: one holds half of a surrogate pair.

    Args:
        texts: The texts.
    """
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            half = ascii(text[error.start])
            return ValueError(f"text: {half} at character {error.start} is half of a surrogate pair, whole ones needed")
    raise AssertionError("tokenizers refuses no other texts")


def pad_rows(rows: Sequence[np.ndarray], padding: int) -> np.ndarray:
    """Rows of different lengths as one array, (N, longest).

    Args:
        rows: One array (L,) each, of one dtype; at least one.
        padding: Value behind the end of shorter rows.
    """
    padded = np.full((len(rows), max(map(len, rows))), padding, dtype=rows[0].dtype)
    for place, row in enumerate(rows):
        padded[place, : len(row)] = row
    return padded


def parse_tokenizer(content: bytes) -> "Tokenizer":
    """A tokenizer from the content of its `tokenizer.json`.

    Args:
        content: UTF-8 JSON.

    Raises:
        ValueError: The file is damaged.
        ModuleNotFoundError: The library `tokenizers` is missing.
    """
    try:
        from tokenizers import Tokenizer
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("texts need tokenizers: pip install 'lightning-r2p[text]'") from error
    try:
        return Tokenizer.from_str(content.decode())
    except Exception as error:  # tokenizers raises plain Exceptions
        raise ValueError(f"no fast tokenizer: {str(error)[:200]}") from error
