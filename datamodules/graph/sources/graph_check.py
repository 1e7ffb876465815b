"""Validation of graphs, and merging of repeated edges."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData

from features.graphs.edges import merged_edges, with_reverse

_MERGED_FIELDS = ("edge_weight", "edge_attr")


def check_graph(data: Data, *, name: str, feature_names: Sequence[str] | None = None) -> dict[str, Any]:
    """Raises on invalid graphs, merges repeated edges in place, and counts valid but unusual properties.

    Edges are repeated if they join the same ordered pair of nodes (at the same `edge_time`, if any); their weights and
    attributes are summed. Self-loops and isolated nodes are kept.

    Args:
        data: `x` float32 (N, F) dense or CSR, `edge_index` int64 (2, E), optionally `y` int64 (N,), -1 = no label.
        name: Name of the graph for messages.
        feature_names: Names of the F columns, for messages.

    Returns:
        Counts: num_nodes, num_features, num_edges, num_isolated (nodes with no edge to another node),
        num_self_loops, num_merged_edges, num_unlabelled.

    Raises:
        ValueError: There are no nodes, an edge refers to a missing node, a feature or weight is NaN or infinite, or a
            label is below -1.
    """
    counts = check_nodes(data, name=name, feature_names=feature_names)
    num_nodes = counts["num_nodes"]
    check_edges(data, num_sources=num_nodes, num_targets=num_nodes, name=name)
    num_merged = merge_repeated_edges(data)
    source, target = data.edge_index
    is_loop = source == target
    connected = torch.zeros(num_nodes, dtype=torch.bool)
    connected[source[~is_loop]] = True
    connected[target[~is_loop]] = True
    return counts | {
        "num_edges": int(source.shape[0]),
        "num_isolated": num_nodes - int(connected.sum()),
        "num_self_loops": int(is_loop.sum()),
        "num_merged_edges": num_merged,
    }


def check_typed_graph(data: HeteroData, *, name: str) -> dict[str, Any]:
    """`check_graph` for heterogeneous graphs.

    Returns:
        `nodes`: num_nodes, num_features, num_unlabelled by type; `edges`: num_edges, num_merged_edges by type.
    """
    nodes = {kind: check_nodes(data[kind], name=f"{name}, {kind}") for kind in data.node_types}
    edges = {}
    for source, relation, target in data.edge_types:
        edge_type = " ".join((source, relation, target))
        store = data[source, relation, target]
        sizes = nodes[source]["num_nodes"], nodes[target]["num_nodes"]
        check_edges(store, num_sources=sizes[0], num_targets=sizes[1], name=f"{name}, {edge_type}")
        merged = merge_repeated_edges(store)
        edges[edge_type] = {"num_edges": int(store.edge_index.shape[1]), "num_merged_edges": merged}
    return {"nodes": nodes, "edges": edges}


def check_nodes(store: Any, *, name: str, feature_names: Sequence[str] | None = None) -> dict[str, int]:
    """Validates `x` and `y` of a `Data` or of one node type; returns num_nodes, num_features, num_unlabelled."""
    x: Tensor = store.x
    assert x.dtype == torch.float32, x.dtype
    if not x.shape[0]:
        raise ValueError(f"data.graph: {name} has no nodes; give a graph with at least one")
    check_features(x, name=name, feature_names=feature_names)
    counts = {"num_nodes": int(x.shape[0]), "num_features": int(x.shape[1])}
    if "y" in store:
        assert store.y.shape == (x.shape[0],), (store.y.shape, x.shape)
        assert store.y.dtype == torch.int64, store.y.dtype
        if (store.y < -1).any():
            node = int((store.y < -1).nonzero()[0])
            raise ValueError(
                f"data.graph: {name}: node {node} has label {int(store.y[node])}; "
                "classes are numbered from 0, and -1 means no label"
            )
        counts["num_unlabelled"] = int((store.y == -1).sum())
    return counts


def check_features(x: Tensor, *, name: str, feature_names: Sequence[str] | None = None) -> None:
    """Raises on NaN or infinite features (N, F), dense or CSR, and names the first one."""
    is_sparse = x.layout == torch.sparse_csr
    finite = (x.values() if is_sparse else x).isfinite()
    if finite.all():
        return
    index = (~finite).nonzero()[0]
    if is_sparse:
        node = int(torch.searchsorted(x.crow_indices(), index, right=True)) - 1
        column, value = int(x.col_indices()[index]), float(x.values()[index])
    else:
        node, column = index.tolist()
        value = float(x[node, column])
    label = repr(feature_names[column]) if feature_names is not None else column
    raise ValueError(
        f"data.graph: {name}: node {node} has {value} in feature column {label}; "
        "fill or drop missing values before the graph is read"
    )


def check_edges(store: Any, *, num_sources: int, num_targets: int, name: str) -> None:
    """Raises on edges to missing nodes, and on NaN or infinite weights."""
    edge_index: Tensor = store.edge_index
    assert edge_index.dtype == torch.int64, edge_index.dtype
    assert edge_index.dim() == 2, edge_index.shape
    sizes = torch.tensor([[num_sources], [num_targets]])
    wrong = ((edge_index < 0) | (edge_index >= sizes)).any(0)
    if wrong.any():
        edge = int(wrong.nonzero()[0])
        source, target = edge_index[:, edge].tolist()
        there = f"{num_sources}" if num_sources == num_targets else f"{num_sources} source and {num_targets} target"
        raise ValueError(
            f"data.graph: {name}: edge {edge} joins nodes {source} and {target}, but there are {there} nodes, "
            "numbered from 0; remove the edge or add the node"
        )
    if "edge_weight" in store and not store.edge_weight.isfinite().all():
        edge = int((~store.edge_weight.isfinite()).nonzero()[0])
        raise ValueError(f"data.graph: {name}: edge {edge} has weight {float(store.edge_weight[edge])}; give a number")


def merge_repeated_edges(store: Any, *, reduce: Literal["sum", "max"] = "sum", sort: bool = False) -> int:
    """Merges edges between the same ordered pair of nodes (at the same time), in place.

    Without repeated edges the order of the edges is kept.

    Args:
        store: A `Data` or an edge store with `edge_index`, and optionally `edge_weight`, `edge_attr`, `edge_time`.
        reduce: Reduction of the weights and attributes of merged edges.
        sort: Sort the edges by source, then target, even if none is repeated.

    Returns:
        Number of edges removed.
    """
    edge_index, fields, num_removed = merged_edges(store.edge_index.numpy(), _fields(store), reduce=reduce, sort=sort)
    if num_removed or sort:
        _set_edges(store, edge_index, fields)
    return num_removed


def add_reverse_edges(store: Any) -> None:
    """Makes a graph undirected, in place: adds the reverse of each edge, with the same weight, attributes and time.

    The edges are then sorted by source, then target. Where both directions exist already, the larger weight
    (attribute) is used for both.
    """
    _set_edges(store, *with_reverse(store.edge_index.numpy(), _fields(store)))


def _fields(store: Any) -> dict[str, np.ndarray]:
    return {field: store[field].numpy() for field in (*_MERGED_FIELDS, "edge_time") if field in store}


def _set_edges(store: Any, edge_index: np.ndarray, fields: Mapping[str, np.ndarray]) -> None:
    store.edge_index = torch.from_numpy(np.ascontiguousarray(edge_index))
    for field, values in fields.items():
        store[field] = torch.from_numpy(values)
