"""Class columns of a prediction table, named as packages name them."""

from collections.abc import Sequence

import numpy as np
import polars as pl


def class_columns(probabilities: np.ndarray, names: Sequence[str]) -> list[pl.Series]:
    """`label`, its `probability`, and the `probabilities` of all classes, in the order of their names.

    Args:
        probabilities: float32 (N, K).
        names: Of the K classes.
    """
    places = probabilities.argmax(axis=1)
    return [
        pl.Series("label", names, dtype=pl.String).gather(places),
        pl.Series("probability", probabilities[np.arange(len(places)), places]),
        pl.Series("probabilities", probabilities),
    ]
