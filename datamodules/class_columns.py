"""Class columns of prediction tables, named as in packages."""

from collections.abc import Sequence

import numpy as np
import polars as pl


def class_columns(
    probabilities: np.ndarray, names: Sequence[str], *, decided: np.ndarray | None = None
) -> list[pl.Series]:
    """Columns `label`, its `probability`, and the `probabilities` of all classes in the order of their names.

    Args:
        probabilities: float32 (N, K).
        names: Names of the K classes.
        decided: Index of the class that is answered, int64 (N,); None for the likeliest one.
    """
    predicted = probabilities.argmax(axis=1) if decided is None else decided
    return [
        pl.Series("label", names, dtype=pl.String).gather(predicted),
        pl.Series("probability", probabilities[np.arange(len(predicted)), predicted]),
        pl.Series("probabilities", probabilities),
    ]
