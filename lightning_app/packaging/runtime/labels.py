"""Class labels: the names that are answered beside probabilities, the likeliest class or what a threshold decides."""

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from lightning_app.packaging.format.decision import Decision
from lightning_app.packaging.runtime.values import Array, Values

if TYPE_CHECKING:
    import polars as pl

LABEL, PROBABILITY, LABELS = "label", "probability", "labels"


def names_of(decision: Decision) -> tuple[str, ...]:
    """Names of the columns that a decision adds to an answer.

    Args:
        decision: The decision.
    """
    return tuple(decision.prefix + name for name in ((LABELS,) if decision.several else (LABEL, PROBABILITY)))


def decided(answer: Mapping[str, Values], decision: Decision, *, is_frame: bool) -> "dict[str, Values | pl.Series]":
    """What a decision adds to an answer.

    Args:
        answer: Output name to values; probabilities are (N, K), or one (n, K) per row.
        decision: The decision.
        is_frame: Whether a table is answered, not a dict.

    Returns:
        `label` and its `probability`, or `labels`, a list per row.
    """
    probabilities = answer[decision.output]
    if decision.several:
        assert isinstance(probabilities, np.ndarray)
        held = probabilities > np.array(decision.thresholds, dtype=np.float32)
        indices: Values = [np.flatnonzero(row) for row in held]
        return {decision.prefix + LABELS: _named(indices, decision.labels, is_frame=is_frame)}
    name, probability = names_of(decision)
    if isinstance(probabilities, np.ndarray):
        classes = classes_of(probabilities, decision)
        of_class: Values = probabilities[np.arange(len(classes)), classes]
        return {name: _named(classes, decision.labels, is_frame=is_frame), probability: of_class}
    # One row per graph, with the probabilities of each node.
    ragged: list[Array] = [classes_of(row, decision) for row in probabilities]
    of_classes: Values = [row[np.arange(len(row)), chosen] for row, chosen in zip(probabilities, ragged, strict=True)]
    return {name: _named(ragged, decision.labels, is_frame=is_frame), probability: of_classes}


def classes_of(probabilities: Array, decision: Decision) -> Array:
    """Index of the class that is answered, int64 (N,).

    Args:
        probabilities: (N, K).
        decision: Of one class.
    """
    if decision.thresholds is None:
        return probabilities.argmax(axis=1)
    return (probabilities[:, 1] > np.float32(decision.thresholds[0])).astype(np.int64)


@lru_cache(maxsize=64)
def _texts(labels: tuple[str, ...]) -> Array:
    return np.array(labels, dtype=np.str_)


def _named(classes: Values, labels: tuple[str, ...], *, is_frame: bool) -> "Values | pl.Series":
    """Class indices, int64 (N,) or one (n,) per row, as names: a text column for a table, else arrays."""
    if not is_frame:
        texts = _texts(labels)
        return texts[classes] if isinstance(classes, np.ndarray) else [texts[row] for row in classes]
    import polars as pl

    names = pl.Series(LABEL, labels)  # gathering from a column is many times faster than creating strings
    if isinstance(classes, np.ndarray):
        return names.gather(classes)
    return pl.Series(LABEL, [names.gather(row) for row in classes], dtype=pl.List(pl.String))
