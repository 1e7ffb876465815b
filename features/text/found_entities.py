"""Found entities: what tags and their scores say of a text, as spans of its characters."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.text.tag_set import OUTSIDE, TagSet

ENTITIES = pl.List(
    pl.Struct({"start": pl.Int64, "end": pl.Int64, "text": pl.String, "label": pl.String, "score": pl.Float64})
)
"""Type of a column of entities."""


def found_entities(
    text: str,
    offsets: NDArray[np.int64],
    tags: Sequence[int] | NDArray[np.int64],
    scores: Sequence[float] | NDArray[np.float32],
    tag_set: TagSet,
) -> list[dict[str, Any]]:
    """Entities of a text: `start`, `end` (after the last character), `text`, `label` and `score`.

    Args:
        text: The text.
        offsets: Characters of its words, int64 (N, 2).
        tags: Tags of the words, (N,) or more.
        scores: Probability of each word's label, the same shape; an entity has their mean.
        tag_set: The tags.
    """
    entities = []
    for first, end, label in tag_set.spans(tags[: len(offsets)]):
        start, stop = int(offsets[first, 0]), int(offsets[end - 1, 1])
        score = round(float(np.mean(scores[first:end])), 6)
        entities.append({"start": start, "end": stop, "text": text[start:stop], "label": label, "score": score})
    return entities


def label_scores(probabilities: NDArray[np.float32], tags: NDArray[np.int64]) -> NDArray[np.float32]:
    """Probability of the label of each word's tag: that of its `B` and `I` together, or that of `O`.

    Args:
        probabilities: Of the tags, (..., T).
        tags: Chosen tags, int64 (...).

    Returns:
        float32 (...).
    """
    begin = np.where(tags == OUTSIDE, 0, tags - (tags + 1) % 2)
    inside = np.where(tags == OUTSIDE, 0, begin + 1)
    first = np.take_along_axis(probabilities, begin[..., None], axis=-1)[..., 0]
    second = np.take_along_axis(probabilities, inside[..., None], axis=-1)[..., 0]
    return np.where(tags == OUTSIDE, first, first + second)
