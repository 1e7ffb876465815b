"""Class columns of prediction tables, named as in packages."""

from collections.abc import Sequence

import numpy as np
import polars as pl


def class_columns(probabilities: np.ndarray, names: Sequence[str]) -> list[pl.Series]:
    """Columns `label`, its `probability`, and the `probabilities` of all classes in the order of their names.

    Args:
        probabilities: float32 (N, K).
        names: Names of the K classes.
    """
    predicted = probabilities.argmax(axis=1)
    return [
        pl.Series("label", names, dtype=pl.String).gather(predicted),
        pl.Series("probability", probabilities[np.arange(len(predicted)), predicted]),
        pl.Series("probabilities", probabilities),
    ]
