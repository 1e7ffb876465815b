"""Edges: repeated ones merged, and reverse ones added."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

_TIME = "edge_time"


def merged_edges(
    edge_index: np.ndarray,
    fields: Mapping[str, np.ndarray],
    *,
    reduce: Literal["sum", "max"] = "sum",
    sort: bool = False,
) -> tuple[np.ndarray, dict[str, np.ndarray], int]:
    """Merges edges between the same ordered pair of nodes (at the same `edge_time`).

    Without repeated edges the order of the edges is kept.

    Args:
        edge_index: int64 (2, E).
        fields: Values of the edges, (E, ...) each.
        reduce: Reduction of the fields of merged edges; their time is the same.
        sort: Sort the edges by source, then target, even if none is repeated.

    Returns:
        The edges, their fields, and the number of edges removed.
    """
    keys = [edge_index[1], edge_index[0]]
    if _TIME in fields:
        keys.insert(0, fields[_TIME])
    order = np.lexsort(keys)
    is_first = np.zeros(len(order), dtype=bool)
    is_first[:1] = True
    for key in keys:
        is_first[1:] |= key[order[1:]] != key[order[:-1]]
    if is_first.all() and not sort:
        return edge_index, dict(fields), 0
    starts = np.flatnonzero(is_first)
    kept = order[starts]
    combine = np.add if reduce == "sum" else np.maximum
    reduced = {
        name: values[kept] if name == _TIME else combine.reduceat(values[order], starts, axis=0)
        for name, values in fields.items()
    }
    return edge_index[:, kept], reduced, len(order) - len(starts)


def with_reverse(edge_index: np.ndarray, fields: Mapping[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Adds the reverse of each edge, with the same fields; sorts by source, then target.

    Where both directions exist already, the larger value is used for both.

    Args:
        edge_index: int64 (2, E).
        fields: Values of the edges, (E, ...) each.
    """
    others = np.flatnonzero(edge_index[0] != edge_index[1])  # a self-loop has no reverse to add
    both = np.concatenate([edge_index, edge_index[::-1, others]], axis=1)
    doubled = {name: np.concatenate([values, values[others]]) for name, values in fields.items()}
    edges, reduced, _ = merged_edges(both, doubled, reduce="max", sort=True)
    return edges, reduced
