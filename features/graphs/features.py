"""Features of nodes and edges: columns of numbers or truth values as float32."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from features.table_reader import as_numbers, row_name


def feature_array(frame: pl.DataFrame, features: Sequence[str], *, file: str, complete: bool = True) -> np.ndarray:
    """Converts numeric or boolean columns to float32 (N, F).

    Args:
        frame: Its rows in file order.
        features: Names of the columns.
        file: The file, for messages.
        complete: Raise on missing and infinite values; otherwise missing values are NaN.
    """
    table = np.empty((len(frame), len(features)), dtype=np.float32)
    for index, name in enumerate(features):
        column = frame[name]
        if column.dtype != pl.Boolean:
            column = as_numbers(column, file=file, advice="encode it, or mend it")
        table[:, index] = column.cast(pl.Float32).to_numpy()
    unknown = ~np.isfinite(table)
    if complete and unknown.any():
        row, position = (int(index) for index in np.argwhere(unknown)[0])
        raise ValueError(
            f"{file}: column {features[position]!r} holds {frame[features[position]][row]} in {row_name(file, row)} "
            f"({int(unknown.sum()):,} such values); fill or drop missing values before the graph is read"
        )
    return table
