"""Odd channels: columns of numbers that nobody named and that hold nothing to forecast, such as ids and constants."""

from pathlib import Path

import numpy as np
import polars as pl

_LEAST_ROWS = 20
"""Fewer rows may look like anything."""


def odd_channels(table: pl.DataFrame, *, path: str | Path) -> list[str]:
    """Says which columns are constant or count the rows; they are channels all the same.

    Args:
        table: Channels that were found, in the order of the file.
        path: Of the file.

    Returns:
        One line; none where all is well.
    """
    constant, counting = [], []
    for column in table if len(table) >= _LEAST_ROWS else []:
        values = column.cast(pl.Float64, strict=False).drop_nulls().to_numpy()
        steps = np.diff(values)
        if len(steps) and not steps.any():
            constant.append(column.name)
        elif len(steps) and (steps == steps[0]).all():
            counting.append(column.name)
    kinds = [f"{', '.join(constant)} (one value)"] if constant else []
    kinds += [f"{', '.join(counting)} (the same step in each row, as ids have)"] if counting else []
    if not kinds:
        return []
    return [
        f"warning: {path}: channels with nothing to forecast make the errors look better than they are: "
        f"{'; '.join(kinds)}; leave them out with --data.series.exclude '[{', '.join(constant + counting)}]'"
    ]
