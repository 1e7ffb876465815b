"""Lists of rows: many rows of a table in the cells of one row, as the journal exports a request of several rows."""

import numpy as np
import polars as pl
import pyarrow as pa


def listed(table: pl.DataFrame, counts: np.ndarray) -> pl.DataFrame:
    """A row for each group of consecutive rows, whose cells are lists.

    Args:
        table: The rows, group by group.
        counts: Rows of each group, int64 (N,); 0 gives empty lists.
    """
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int64())
    columns = []
    for series in table:
        lists = pl.from_arrow(pa.LargeListArray.from_arrays(offsets, series.rechunk().to_arrow()))
        assert isinstance(lists, pl.Series)
        columns.append(lists.alias(series.name))
    return pl.DataFrame(columns)


def ranges(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Positions of all ranges, one after the other, int64.

    Args:
        starts: First positions (N,).
        ends: Positions after the last (N,).
    """
    counts = ends - starts
    before = np.cumsum(counts) - counts
    return np.arange(int(counts.sum())) - np.repeat(before - starts, counts)
