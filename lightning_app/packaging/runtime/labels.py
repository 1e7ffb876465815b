"""Class labels: the likeliest class by name, besides the probabilities of all classes."""

from typing import TYPE_CHECKING

import numpy as np

from lightning_app.packaging.format.manifest import PROBABILITIES
from lightning_app.packaging.runtime.values import Array, Values

if TYPE_CHECKING:
    import polars as pl

LABEL, PROBABILITY = "label", "probability"


def with_likeliest(answer: dict[str, Values]) -> dict[str, Values]:
    """Adds the index and probability of the likeliest class to an answer.

    Args:
        answer: Output name to values; `probabilities` is (N, K), or one (n, K) per row.

    Returns:
        `label` (class index), `probability`, then the answer.
    """
    probabilities = answer[PROBABILITIES]
    if isinstance(probabilities, np.ndarray):
        classes = probabilities.argmax(axis=1)
        return {LABEL: classes, PROBABILITY: probabilities[np.arange(len(classes)), classes], **answer}
    # One row per graph, with the probabilities of each node.
    ragged: list[Array] = [row.argmax(axis=1) for row in probabilities]
    return {LABEL: ragged, PROBABILITY: [row.max(axis=1) for row in probabilities], **answer}


def named(classes: Values, labels: tuple[str, ...]) -> Values:
    """Converts class indices to names.

    Args:
        classes: Class indices, int64 (N,), or one (n,) per row.
        labels: Name of each class.
    """
    names = np.array(labels, dtype=np.str_)
    return names[classes] if isinstance(classes, np.ndarray) else [names[row] for row in classes]


def named_column(classes: Values, labels: tuple[str, ...]) -> "pl.Series":
    """Converts class indices to a text column of names.

    Args:
        classes: Class indices, see `named`.
        labels: Name of each class.
    """
    import polars as pl

    names = pl.Series(LABEL, labels)  # gathering from a column is many times faster than creating strings
    if isinstance(classes, np.ndarray):
        return names.gather(classes)
    return pl.Series(LABEL, [names.gather(row) for row in classes], dtype=pl.List(pl.String))
