"""Word tokens: texts as words with character offsets, and their sub-words in overlapping windows of a tokenizer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from unicodedata import category

import numpy as np
from numpy.typing import NDArray

from features.text.token_rows import not_unicode, parse_tokenizer
from features.text.word_shapes import word_shape

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

_LEAST_CONTENT = 4
_TEXTS_PER_CALL = 1024
_PADDING = ("[PAD]", "<pad>", "<|endoftext|>")


class Window(NamedTuple):
    """Tokens of one pass of the encoder.

    Attributes:
        token_ids: With the special tokens, int64 (L,).
        word_shapes: Shape of the word of each token, 0 for special tokens, int64 (L,).
    """

    token_ids: NDArray[np.int64]
    word_shapes: NDArray[np.int64]


@dataclass(frozen=True)
class WordTokens:
    """A text as words; each word is tagged at its first sub-word, in one of the windows.

    Attributes:
        offsets: First character of each word and the one after its last, in code points, int64 (N, 2).
        windows: At least one; a text without words has one of special tokens alone.
        window: Window of each word, int64 (N,): the one where it is farthest from a cut.
        position: Position of its first sub-word in that window, int64 (N,).
        num_cut: Words of more sub-words than a window holds, whose last sub-words are left out.
    """

    offsets: NDArray[np.int64]
    windows: tuple[Window, ...]
    window: NDArray[np.int64]
    position: NDArray[np.int64]
    num_cut: int

    def __len__(self) -> int:
        return len(self.offsets)


class WordTokenizer:
    """Splits texts into words as the tokenizer's pre-tokenisation does, and words into windows of sub-words.

    A text of more than `max_length` tokens is read in several windows, which overlap by a quarter: nothing of it is
    left out.

    Args:
        tokenizer: Fast tokenizer; its truncation and padding are switched off.
        max_length: Most tokens of a window, special tokens included.

    Raises:
        ValueError: `max_length` has no room for words beside the special tokens.
    """

    def __init__(self, tokenizer: "Tokenizer", *, max_length: int) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True  # "[SEP]" in a text is text
        self._tokenizer = tokenizer
        self.max_length = max_length
        self._prefix, self._suffix = _special_tokens(tokenizer)
        self._capacity = max_length - len(self._prefix) - len(self._suffix)
        if self._capacity < _LEAST_CONTENT:
            least = _LEAST_CONTENT + max_length - self._capacity
            raise ValueError(f"max_length: {max_length} given, at least {least} tokens are needed")

    @classmethod
    def load(cls, content: bytes, *, max_length: int) -> "WordTokenizer":
        """Reads what `to_json` writes.

        Args:
            content: `tokenizer.json` of Hugging Face.
            max_length: Most tokens of a window.

        Raises:
            ValueError: The file is damaged, or `max_length` too small.
            ModuleNotFoundError: The library `tokenizers` is missing.
        """
        return cls(parse_tokenizer(content), max_length=max_length)

    @property
    def pad_token_id(self) -> int:
        """Id that fills shorter windows, which the attention mask hides; 0 if the tokenizer has none."""
        ids = (self._tokenizer.token_to_id(token) for token in _PADDING)
        return next((int(index) for index in ids if index is not None), 0)

    @property
    def vocab_size(self) -> int:
        """Number of tokens, added ones included; ids are below it."""
        return int(self._tokenizer.get_vocab_size())

    def to_json(self) -> bytes:
        """The tokenizer as `tokenizer.json` of Hugging Face."""
        return str(self._tokenizer.to_str()).encode()

    def words(self, texts: Sequence[str]) -> Iterator[WordTokens]:
        """Words of texts, in their order.

        Args:
            texts: The texts.

        Raises:
            ValueError: A text holds half of a surrogate pair.
        """
        for start in range(0, len(texts), _TEXTS_PER_CALL):
            part = list(texts[start : start + _TEXTS_PER_CALL])
            try:
                encodings = self._encode(part)
            except TypeError as error:
                raise not_unicode(part) from error
            for text, encoding in zip(part, encodings, strict=True):
                yield self._words(text, encoding)

    def _encode(self, texts: list[str]) -> "list[Encoding]":
        if len(texts) == 1:  # a call for several starts threads
            return [self._tokenizer.encode(texts[0], add_special_tokens=False)]
        return self._tokenizer.encode_batch(texts, add_special_tokens=False)

    def _words(self, text: str, encoding: "Encoding") -> WordTokens:
        ids = np.array(encoding.ids, dtype=np.int64)
        starts, offsets = _word_starts(text, encoding)
        shapes = np.zeros(len(ids), dtype=np.int64)
        for first, end, (start, stop) in zip(starts, [*starts[1:], len(ids)], offsets.tolist(), strict=False):
            shapes[first:end] = word_shape(text[start:stop])
        bounds, num_cut = self._bounds(starts, len(ids))
        window = np.zeros(len(starts), dtype=np.int64)
        position = np.zeros(len(starts), dtype=np.int64)
        farthest = np.full(len(starts), -1)
        windows = []
        for number, (first, end) in enumerate(bounds):
            windows.append(self._window(ids[first:end], shapes[first:end]))
            held = np.flatnonzero((starts >= first) & (starts < end))
            # The text's own ends are no cuts.
            left = starts[held] - first if first else np.full(len(held), len(ids))
            right = end - starts[held] if end < len(ids) else np.full(len(held), len(ids))
            distance = np.minimum(left, right)
            better = held[distance > farthest[held]]
            farthest[held] = np.maximum(farthest[held], distance)
            window[better] = number
            position[better] = starts[better] - first + len(self._prefix)
        return WordTokens(offsets, tuple(windows), window, position, num_cut)

    def _bounds(self, starts: NDArray[np.int64], num_tokens: int) -> tuple[list[tuple[int, int]], int]:
        """First token of each window and the one after its last; and the number of words that are cut."""
        capacity = self._capacity
        if num_tokens <= capacity:
            return [(0, num_tokens)], 0
        ends = np.append(starts[1:], num_tokens)
        bounds: list[tuple[int, int]] = []
        cut = 0
        word = 0
        while True:
            first = int(starts[word])
            last = int(np.searchsorted(ends, first + capacity, side="right")) - 1  # the last word that fits whole
            if last < word:
                cut += 1
                bounds.append((first, first + capacity))
                last = word
            else:
                bounds.append((first, int(ends[last])))
            if last + 1 >= len(starts):
                return bounds, cut
            back = int(np.searchsorted(starts, int(ends[last]) - capacity // 4, side="left"))
            word = min(max(back, word + 1), last + 1)

    def _window(self, ids: NDArray[np.int64], shapes: NDArray[np.int64]) -> Window:
        return Window(
            np.concatenate([self._prefix, ids, self._suffix]),
            np.pad(shapes, (len(self._prefix), len(self._suffix))),
        )


def _word_starts(text: str, encoding: "Encoding") -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First token of each word, int64 (N,), and its characters, int64 (N, 2)."""
    starts: list[int] = []
    offsets: list[tuple[int, int]] = []
    before: int | None = None
    for token, (word, (start, end)) in enumerate(zip(encoding.word_ids, encoding.offsets, strict=True)):
        while start < end and text[start].isspace():
            start += 1
        while start < end and text[end - 1].isspace():
            end -= 1
        if start == end:
            continue
        if word is None or word != before or not starts:
            starts.append(token)
            offsets.append((start, end))
        else:
            offsets[-1] = (offsets[-1][0], max(end, offsets[-1][1]))
        before = word
    _take_marks(text, offsets)
    return np.array(starts, dtype=np.int64), np.array(offsets, dtype=np.int64).reshape(-1, 2)


def _take_marks(text: str, offsets: list[tuple[int, int]]) -> None:
    """Gives words the marks behind their last letter, such as decomposed accents, which uncased tokenizers drop."""
    if text.isascii():
        return
    for word, (start, end) in enumerate(offsets):
        limit = offsets[word + 1][0] if word + 1 < len(offsets) else len(text)
        while end < limit and category(text[end]) == "Mn":
            end += 1
        offsets[word] = (start, end)


def _special_tokens(tokenizer: "Tokenizer") -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids that the tokenizer puts before and after a text."""
    plain = tokenizer.encode("a", add_special_tokens=False).ids
    framed = tokenizer.encode("a", add_special_tokens=True).ids
    for first in range(len(framed) - len(plain) + 1):
        if framed[first : first + len(plain)] == plain:
            suffix = framed[first + len(plain) :]
            return np.array(framed[:first], dtype=np.int64), np.array(suffix, dtype=np.int64)
    return np.array([], dtype=np.int64), np.array([], dtype=np.int64)
