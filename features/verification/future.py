"""Change of the future: events after a time, or not available at it, are changed, removed and added."""

import numpy as np
import polars as pl

from features.definitions import Source


def change_future(table: pl.DataFrame, is_future: np.ndarray, source: Source, *, seed: int) -> pl.DataFrame:
    """A table with another future: a third of its events is removed, cells change places, others are there twice.

    The times of an event stay together, so that what was in the future remains there.

    Args:
        table: Rows of the source.
        is_future: Which rows are in the future, bool (n,).
        source: The source.
        seed: Seed.
    """
    rng = np.random.default_rng(seed)
    rows = np.flatnonzero(is_future)
    kept = rng.choice(rows, size=len(rows) - len(rows) // 3, replace=False)
    kept = np.concatenate([kept, rng.choice(kept, size=len(rows) // 3)]) if len(kept) else kept
    clocks = [source.time, *([source.available] if source.available else []), *source.time_plus]
    future = table[kept].with_columns(
        table[rng.permutation(kept)][name] for name in table.columns if name not in clocks
    )
    return pl.concat([table.filter(~is_future), future])
