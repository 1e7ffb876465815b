"""EntityTexts: dataset of texts as windows of sub-words, with the tags of their words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.text.annotated_text import AnnotatedText, Entity
from features.text.tag_set import OUTSIDE, TagSet
from features.text.token_rows import pad_rows
from features.text.word_tokens import WordTokens

IGNORED = -100


@dataclass(frozen=True)
class Tagged:
    """Tags of the words of a text.

    Attributes:
        tags: Index of the tag of each word, int64 (N,).
        missed: Tags that begin the entities which no sequence of tags can name, int64 (M,).
        num_widened: Entities that begin or end inside a word, whose tags cover the whole word.
    """

    tags: NDArray[np.int64]
    missed: NDArray[np.int64]
    num_widened: int


def tagged(words: WordTokens, entities: Iterable[Entity], tag_set: TagSet) -> Tagged:
    """Tags of words that the entities of their text cover.

    Args:
        words: The words.
        entities: The entities, none overlapping, in the order of the text.
        tag_set: The tags; an entity of another label is missed, with the index after the last tag.
    """
    tags = np.full(len(words), OUTSIDE, dtype=np.int64)
    missed: list[int] = []
    widened = 0
    for entity in entities:
        begin = tag_set.begin(entity.label) if entity.label in tag_set.labels else len(tag_set)
        first = int(np.searchsorted(words.offsets[:, 1], entity.start, side="right"))
        end = int(np.searchsorted(words.offsets[:, 0], entity.end, side="left"))
        # Two entities inside one word cannot both be named.
        if begin == len(tag_set) or first >= end or tags[first] != OUTSIDE:
            missed.append(begin)
            continue
        covered = (int(words.offsets[first, 0]), int(words.offsets[end - 1, 1]))
        widened += covered != (entity.start, entity.end)
        tags[first] = begin
        tags[first + 1 : end] = begin + 1
    return Tagged(tags, np.array(missed, dtype=np.int64), widened)


@dataclass(frozen=True)
class EntityTexts:
    """Dataset of texts.

    Attributes:
        texts: The texts.
        words: Their words.
        tagged: Their tags; None if they are not annotated.
        pad_token_id: Fills shorter windows.
    """

    texts: Sequence[AnnotatedText]
    words: Sequence[WordTokens]
    tagged: Sequence[Tagged] | None
    pad_token_id: int

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def num_tokens(self) -> NDArray[np.int64]:
        """Tokens of each text, in all of its windows, int64 (len,)."""
        return np.array([sum(len(window.token_ids) for window in one.windows) for one in self.words], dtype=np.int64)

    def __getitems__(self, indices: np.ndarray) -> dict[str, Tensor]:
        """The batch of an array of indices; W windows of B texts of up to N words.

        Returns:
            `row` int64 (B,), `token_ids`, `attention_mask` and `word_shapes` int64 (W, L), `words` int64 (B, N) with
            the place of each word in the windows laid end to end, -1 for none, and, of annotated texts, `target` int64
            (B, N) with -100 for none. Entities that no tags can name follow the words of their text, with the place -1.
        """
        chosen = [self.words[index] for index in indices]
        windows = [window for words in chosen for window in words.windows]
        token_ids = pad_rows([window.token_ids for window in windows], self.pad_token_id)
        lengths = np.array([len(window.token_ids) for window in windows])
        places, targets, before = [], [], 0
        for words, index in zip(chosen, indices, strict=True):
            place = (before + words.window) * token_ids.shape[1] + words.position
            before += len(words.windows)
            if self.tagged is not None:
                tags = self.tagged[index]
                place = np.append(place, np.full(len(tags.missed), -1))
                targets.append(np.append(tags.tags, tags.missed))
            places.append(place)
        batch = {
            "row": np.asarray(indices, dtype=np.int64),
            "token_ids": token_ids,
            "attention_mask": (np.arange(token_ids.shape[1]) < lengths[:, None]).astype(np.int64),
            "word_shapes": pad_rows([window.word_shapes for window in windows], 0),
            "words": pad_rows(places, -1),
        }
        if self.tagged is not None:
            batch["target"] = pad_rows(targets, IGNORED)
        return {name: torch.from_numpy(array) for name, array in batch.items()}
