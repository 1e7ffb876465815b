"""The likeliest class by its name, beside the probabilities of all."""

from typing import TYPE_CHECKING

import numpy as np

from lightning_app.packaging.format.manifest import PROBABILITIES
from lightning_app.packaging.runtime.values import Array, Values

if TYPE_CHECKING:
    import polars as pl

LABEL, PROBABILITY = "label", "probability"


def with_likeliest(answer: dict[str, Values]) -> dict[str, Values]:
    """An answer with the number of the likeliest class and its probability, before the probabilities of all.

    Args:
        answer: By name of an output; `probabilities` is (N, K), or one (n, K) per row.
    """
    given = answer[PROBABILITIES]
    if isinstance(given, np.ndarray):
        places = given.argmax(axis=1)
        return {LABEL: places, PROBABILITY: given[np.arange(len(given)), places], **answer}
    # Of each node of a graph.
    numbers: list[Array] = [row.argmax(axis=1) for row in given]
    return {LABEL: numbers, PROBABILITY: [row.max(axis=1) for row in given], **answer}


def named(places: Values, labels: tuple[str, ...]) -> Values:
    """Names of classes.

    Args:
        places: Their numbers, int64 (N,), or one (n,) per row.
        labels: Name of each class.
    """
    names = np.array(labels, dtype=np.str_)
    return names[places] if isinstance(places, np.ndarray) else [names[row] for row in places]


def named_column(places: Values, labels: tuple[str, ...]) -> "pl.Series":
    """Names of classes as a column of text.

    Args:
        places: As of `named`.
        labels: Name of each class.
    """
    import polars as pl

    names = pl.Series(LABEL, labels)  # taking texts out of a column is many times faster than making them anew
    if isinstance(places, np.ndarray):
        return names.gather(places)
    return pl.Series(LABEL, [names.gather(row) for row in places], dtype=pl.List(pl.String))
