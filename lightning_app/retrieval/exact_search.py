"""Exact search: the rows with the largest inner products, block by block with numpy."""

import numpy as np

from lightning_app.packaging.runtime.values import Array

_ROWS = 16384
_QUERIES = 256
"""Rows and queries of a block: its scores take 16 MB."""


def exact_search(vectors: Array, queries: Array, *, top: int) -> tuple[Array, Array]:
    """The best rows of each query, best first; of equal scores the earlier row.

    Memory is bounded by a block of scores, so that `vectors` may be a memory map of any length.

    Args:
        vectors: float32 (N, E).
        queries: float32 (Q, E).
        top: Rows per query; at most N are found.

    Returns:
        positions: Rows of `vectors`, int64 (Q, K) with K = min(top, N).
        scores: Their inner products, float32 (Q, K).
    """
    count = min(top, len(vectors))
    positions = np.empty((len(queries), count), dtype=np.int64)
    scores = np.empty((len(queries), count), dtype=np.float32)
    for start in range(0, len(queries), _QUERIES):
        part = slice(start, start + _QUERIES)
        positions[part], scores[part] = _search_block(vectors, queries[part], count)
    return positions, scores


def _search_block(vectors: Array, queries: Array, count: int) -> tuple[Array, Array]:
    best_scores = np.empty((len(queries), 0), dtype=np.float32)
    best_rows = np.empty((len(queries), 0), dtype=np.int64)
    for first in range(0, len(vectors), _ROWS):
        block = queries @ vectors[first : first + _ROWS].T
        rows, scores = _largest(block, count)
        best_rows = np.concatenate([best_rows, first + rows], axis=1)
        best_scores = np.concatenate([best_scores, scores], axis=1)
        kept, best_scores = _largest(best_scores, count)
        best_rows = np.take_along_axis(best_rows, kept, axis=1)
    return best_rows, best_scores


def _largest(scores: Array, count: int) -> tuple[Array, Array]:
    """Columns and values of the largest scores of each row, in descending order, the earlier column first."""
    if scores.shape[1] > count:
        columns = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        least = np.take_along_axis(scores, columns, axis=1).min(axis=1)
        # argpartition takes any of several equal scores at the border.
        for row in np.flatnonzero((scores >= least[:, None]).sum(axis=1) > count):
            above = np.flatnonzero(scores[row] > least[row])
            equal = np.flatnonzero(scores[row] == least[row])
            columns[row] = np.concatenate([above, equal[: count - len(above)]])
        columns.sort(axis=1)
    else:
        columns = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    chosen = np.take_along_axis(scores, columns, axis=1)
    order = np.argsort(-chosen, axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1), np.take_along_axis(chosen, order, axis=1)
