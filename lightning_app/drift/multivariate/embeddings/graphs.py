"""Embedding of graphs: their size, degrees, features, and how alike neighbours are."""

import numpy as np
import numpy.typing as npt
import polars as pl

from lightning_app.drift.multivariate.embeddings.named_matrix import Array, NamedMatrix

MAX_FEATURES = 16
_SHAPE = ("nodes", "edges", "mean degree", "degrees' sd", "greatest degree", "isolated nodes", "likeness of neighbours")


def graph_embedding(x: pl.Series, edge_index: pl.Series) -> NamedMatrix:
    """One row of numbers for each graph.

    Args:
        x: Features of the nodes, (nodes, F), a list of lists for each graph.
        edge_index: Source and target of each edge, (edges, 2), from 0 in each graph. A graph whose edges name a node
            that it does not have is left out, like a missing one: NaN.
    """
    nodes = x.cast(pl.List(pl.List(pl.Float64)))
    edges = edge_index.cast(pl.List(pl.List(pl.Int64)))
    known = (x.is_not_null() & edge_index.is_not_null()).to_numpy()
    features = _rows_of(nodes)
    ends = _rows_of(edges, width=2).astype(np.int64)
    num_nodes = nodes.list.len().fill_null(0).to_numpy().astype(np.int64)
    num_edges = edges.list.len().fill_null(0).to_numpy().astype(np.int64)
    graph_of_edge = np.repeat(np.arange(len(x)), num_edges)
    outside = ((ends < 0) | (ends >= num_nodes[graph_of_edge][:, None])).any(axis=1)
    broken = np.bincount(graph_of_edge[outside], minlength=len(x)) > 0
    inside = ~broken[graph_of_edge]
    places = ends[inside] + (np.cumsum(num_nodes) - num_nodes)[graph_of_edge[inside]][:, None]
    degree = np.bincount(places[:, 1], minlength=len(features)).astype(np.float64)
    graph_of_node = np.repeat(np.arange(len(x)), num_nodes)
    shape = [
        np.log1p(num_nodes), np.log1p(num_edges), _mean(degree, graph_of_node, len(x)),
        np.sqrt(np.maximum(0, _mean(degree**2, graph_of_node, len(x)) - _mean(degree, graph_of_node, len(x)) ** 2)),
        _greatest(degree, graph_of_node, len(x)), _mean((degree == 0).astype(np.float64), graph_of_node, len(x)),
        _likeness(features, places, graph_of_edge[inside], len(x)),
    ]  # fmt: skip
    width = min(MAX_FEATURES, features.shape[1])
    means = [_mean(features[:, place], graph_of_node, len(x)) for place in range(width)]
    squares = [_mean(features[:, place] ** 2, graph_of_node, len(x)) for place in range(width)]
    spreads = [np.sqrt(np.maximum(0, square - mean**2)) for mean, square in zip(means, squares, strict=True)]
    matrix = np.stack([*shape, *means, *spreads], axis=1)
    matrix[~known | broken] = np.nan
    names = (*_SHAPE, *(f"x[{place}] mean" for place in range(width)), *(f"x[{place}] sd" for place in range(width)))
    notes = []
    if broken.any():
        notes.append(f"{int(broken.sum()):,} graphs with edges to nodes that they do not have are left out")
    if features.shape[1] > width:
        notes.append(f"the first {width} of {features.shape[1]} features")
    return NamedMatrix(matrix, names, "; ".join(notes) or None)


def _rows_of(lists: pl.Series, *, width: int | None = None) -> Array:
    """All inner lists, one below the other; they have the same length."""
    inner = lists.drop_nulls().explode().drop_nulls()
    widths = inner.list.len().unique(maintain_order=True).to_list()
    if len(inner) != lists.list.len().sum() or len(widths) > 1 or (width is not None and widths not in ([], [width])):
        raise ValueError(f"{lists.name!r} has rows of {sorted(widths)} numbers; all need {width or 'as many'}")
    if not widths or not widths[0]:
        return np.zeros((len(inner), width or 0))
    return inner.explode().fill_null(0).to_numpy().astype(np.float64).reshape(-1, widths[0])


def _mean(values: Array, group: npt.NDArray[np.intp], count: int) -> Array:
    found: Array = np.bincount(group, weights=values, minlength=count) / np.maximum(
        1, np.bincount(group, minlength=count)
    )
    return found


def _greatest(values: Array, group: npt.NDArray[np.intp], count: int) -> Array:
    found = np.zeros(count)
    np.maximum.at(found, group, values)
    return found


def _likeness(features: Array, places: npt.NDArray[np.intp], graph_of_edge: npt.NDArray[np.intp], count: int) -> Array:
    """Mean product of the standardised features at both ends of an edge, by graph: no label is needed for it."""
    if not features.size:
        return np.zeros(count)
    spread = features.std(axis=0)
    standard = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1)
    products = np.mean(standard[places[:, 0]] * standard[places[:, 1]], axis=1)
    return _mean(products, graph_of_edge, count)
