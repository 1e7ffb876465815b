"""TagSet: the IOB2 tags of entity labels, the entities that a sequence of tags names, and Viterbi decoding."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PREFIXES = ("B", "I", "E", "S")
FORBIDDEN = -1e4
"""Score of a pair of tags that cannot be; finite, so that sums of scores stay numbers."""
OUTSIDE = 0
"""Index of the tag `O`."""


class ParsedTag(NamedTuple):
    """A tag.

    Attributes:
        prefix: `O`, `B`, `I`, `E` or `S`.
        label: Label of the entity; empty for `O`.
    """

    prefix: str
    label: str


class TagSet:
    """Tags `O`, `B-label` and `I-label` of each label; `B` of label k has index 1 + 2 k, `I` has 2 + 2 k.

    Args:
        labels: Labels of entities, e.g. `("location", "person")`.

    Raises:
        ValueError: There is no label, one is empty, or one is given twice.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        if not self.labels or "" in self.labels or len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels: {list(labels)} given, one or more different names of entities are needed")
        self.parsed = (
            ParsedTag("O", ""),
            *(ParsedTag(prefix, label) for label in self.labels for prefix in "BI"),
        )
        self.tags = ("O", *(f"{prefix}-{label}" for label in self.labels for prefix in "BI"))

    def __len__(self) -> int:
        return len(self.tags)

    def begin(self, label: str) -> int:
        """Index of `B-label`; that of `I-label` is the next.

        Args:
            label: One of the labels.
        """
        return 1 + 2 * self.labels.index(label)

    def spans(self, tags: Sequence[int] | NDArray[np.int64]) -> Iterator[tuple[int, int, str]]:
        """Entities of a text, see `entity_spans`.

        Args:
            tags: Indices of tags, (num_words,).
        """
        return entity_spans([self.parsed[tag] for tag in tags])

    def transitions(self) -> NDArray[np.float32]:
        """Scores of pairs of tags, 0 where the second may follow the first, else very low, float32 (T, T).

        `I-label` may follow `B-label` and `I-label` alone.
        """
        scores = np.zeros((len(self), len(self)), dtype=np.float32)
        for label in range(len(self.labels)):
            inside = 2 + 2 * label
            scores[:, inside] = FORBIDDEN
            scores[[inside - 1, inside], inside] = 0.0
        return scores

    def first(self) -> NDArray[np.float32]:
        """Scores of the first tag of a text, 0 or very low, float32 (T,)."""
        scores = np.zeros(len(self), dtype=np.float32)
        scores[2::2] = FORBIDDEN
        return scores


FORBIDDEN = -1e4


def parse_tag(tag: str) -> ParsedTag:
    """Prefix and label of a tag; `("O", "")` for `O`.

    Args:
        tag: `O`, or `B-`, `I-`, `E-` or `S-` before a label.

    Raises:
        ValueError: It has none of these forms.
    """
    prefix, dash, label = tag.partition("-")
    if tag != "O" and (prefix not in PREFIXES or not dash or not label):
        raise ValueError(f"{tag!r} given, O, or B-, I-, E- or S- before a label is needed")
    return ParsedTag(prefix, label)


def entity_spans(tags: Sequence[ParsedTag]) -> Iterator[tuple[int, int, str]]:
    """Entities of tags as conlleval and seqeval read them (IOB2 and IOBES).

    An entity begins at `B`, at `S`, and at an `I` or `E` that does not go on with the label before it.

    Args:
        tags: Of the words of a text.

    Yields:
        First position, position after the last, label.
    """
    first, label = 0, ""
    before = "O"
    for position, (prefix, own) in enumerate([*tags, ParsedTag("O", "")]):
        if prefix in ("B", "S") or own != label or before in ("E", "S"):
            if label:
                yield first, position, label
            first, label = position, own
        before = prefix


def viterbi(
    emissions: NDArray[np.float32],
    lengths: NDArray[np.int64],
    *,
    transitions: NDArray[np.float32],
    first: NDArray[np.float32],
) -> NDArray[np.int64]:
    """The sequences of tags with the highest sum of scores; `OUTSIDE` after the end of a text.

    Args:
        emissions: Score of each tag of each word, (B, W, T).
        lengths: Number of words of each text, (B,).
        transitions: Score of each tag (second axis) after each tag, (T, T).
        first: Score of each tag of the first word, (T,).

    Returns:
        Tags, int64 (B, W).
    """
    count, width, num_tags = emissions.shape
    tags = np.full((count, width), OUTSIDE, dtype=np.int64)
    if not width or not count:
        return tags
    best = first + emissions[:, 0]
    previous = np.zeros((width, count, num_tags), dtype=np.int64)
    for word in range(1, width):
        scores = best[:, :, None] + transitions
        previous[word] = scores.argmax(axis=1)
        following = scores.max(axis=1) + emissions[:, word]
        going = (word < lengths)[:, None]
        best = np.where(going, following, best)
        previous[word] = np.where(going, previous[word], np.arange(num_tags))
    texts = np.arange(count)
    tag = best.argmax(axis=1)
    for word in range(width - 1, -1, -1):
        inside = word < lengths
        tags[inside, word] = tag[inside]
        tag = previous[word, texts, tag]
    return tags
