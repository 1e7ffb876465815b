"""Graph tables: tables of nodes and edges become the arrays of a set of graphs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from features.graphs.edges import merged_edges, with_reverse
from features.graphs.features import feature_array
from features.graphs.ids import id_column, node_numbers, numbers_of
from features.graphs.spec import GraphSpec


@dataclass(frozen=True)
class GraphArrays:
    """G graphs, concatenated; nodes are numbered over all of them.

    Attributes:
        x: Node features, float32 (N, F).
        edge_index: Edges, int64 (2, E), graph by graph.
        node_ptr: Graph g has the nodes `node_ptr[g]` to `node_ptr[g + 1]`, int64 (G + 1,).
        edge_ptr: Graph g has the edges `edge_ptr[g]` to `edge_ptr[g + 1]`, int64 (G + 1,).
        edge_weight: Edge weights float32 (E,), if any.
        node_rows: Row of each node in its table, int64 (N,).
    """

    x: np.ndarray
    edge_index: np.ndarray
    node_ptr: np.ndarray
    edge_ptr: np.ndarray
    edge_weight: np.ndarray | None
    node_rows: np.ndarray

    @property
    def node_graph(self) -> np.ndarray:
        """Graph of each node, int64 (N,)."""
        return np.repeat(np.arange(len(self.node_ptr) - 1), np.diff(self.node_ptr))

    def checked(self, *, directed: bool) -> "tuple[GraphArrays, int]":
        """Merges repeated edges, and adds the reverse ones unless the graphs are directed.

        Returns:
            The graphs, and the number of edges that were merged with another one.
        """
        fields = {} if self.edge_weight is None else {"edge_weight": self.edge_weight}
        edges, fields, num_merged = merged_edges(self.edge_index, fields)
        if not directed:
            edges, fields = with_reverse(edges, fields)
        edge_graph = np.searchsorted(self.node_ptr, edges[0], side="right") - 1
        order = np.argsort(edge_graph, kind="stable")
        arrays = GraphArrays(
            x=self.x,
            edge_index=edges[:, order],
            node_ptr=self.node_ptr,
            edge_ptr=np.searchsorted(edge_graph[order], np.arange(len(self.node_ptr))),
            edge_weight=None if self.edge_weight is None else fields["edge_weight"][order],
            node_rows=self.node_rows,
        )
        return arrays, num_merged


def read_graphs(
    nodes: pl.DataFrame,
    edges: pl.DataFrame,
    spec: GraphSpec,
    *,
    graphs: pl.Series | None,
    nodes_file: str,
    edges_file: str,
    graphs_file: str,
) -> GraphArrays:
    """Reads tables of nodes and edges; nothing is merged yet.

    Args:
        nodes: Table of nodes, their rows in any order.
        edges: Table of edges.
        spec: The preparation.
        graphs: Ids of the graphs (G,) in their order, different; None for a single graph.
        nodes_file: Name of `nodes` for messages.
        edges_file: Name of `edges`.
        graphs_file: Name of the table of `graphs`.

    Raises:
        ValueError: An id is missing, occurs twice or is unknown, or a feature or weight is no number.
    """
    ends = (spec.source, spec.target)
    x = feature_array(nodes, spec.features, file=nodes_file)
    weight = None if spec.weight is None else feature_array(edges, [spec.weight], file=edges_file)[:, 0]
    if graphs is None:
        numbers = node_numbers(id_column(nodes[spec.id], file=nodes_file), file=nodes_file)
        edge_index = _edge_index(edges, ends, numbers, file=edges_file, where=f"the ids of {nodes_file}")
        ptrs = np.array([0, len(nodes)]), np.array([0, len(edges)])
        return GraphArrays(x, edge_index, *ptrs, weight, np.arange(len(nodes)))
    assert spec.graph is not None
    graph_numbers = node_numbers(graphs, file=graphs_file)
    where = f"the graphs of {graphs_file}"
    node_graph = numbers_of(nodes[spec.graph], graph_numbers, file=nodes_file, where=where)
    by_graph = np.argsort(node_graph, kind="stable")
    nodes, node_graph = nodes[by_graph], node_graph[by_graph]
    edge_graph = numbers_of(edges[spec.graph], graph_numbers, file=edges_file, where=where)
    order = np.argsort(edge_graph, kind="stable")
    edges, edge_graph = edges[order], edge_graph[order]
    numbers = node_numbers(_ids_within(nodes[spec.id], node_graph), file=nodes_file)
    sides = pl.DataFrame([_ids_within(edges[end], edge_graph) for end in ends])
    where = f"the ids of {nodes_file} (graphs counted from 0)"
    return GraphArrays(
        x=x[by_graph],
        edge_index=_edge_index(sides, ends, numbers, file=edges_file, where=where, rows=order),
        node_ptr=np.searchsorted(node_graph, np.arange(len(graphs) + 1)),
        edge_ptr=np.searchsorted(edge_graph, np.arange(len(graphs) + 1)),
        edge_weight=None if weight is None else weight[order],
        node_rows=by_graph,
    )


def normalized(x: np.ndarray) -> np.ndarray:
    """Features (N, F), each row divided by its sum if that exceeds 1."""
    return x / np.maximum(x.sum(axis=-1, keepdims=True), np.float32(1.0))  # type: ignore[no-any-return]


def _edge_index(
    edges: pl.DataFrame,
    ends: Sequence[str],
    numbers: pl.DataFrame,
    *,
    file: str,
    where: str,
    rows: np.ndarray | None = None,
) -> np.ndarray:
    return np.stack([numbers_of(edges[end], numbers, file=file, where=where, rows=rows) for end in ends])


def _ids_within(ids: pl.Series, graph: np.ndarray) -> pl.Series:
    """Ids that are unique across graphs; the graph's index is the suffix, so that no two pairs collide."""
    frame = pl.DataFrame({"id": ids, "graph": graph})
    return frame.select(pl.format("{} of graph {}", "id", "graph").alias(ids.name)).to_series()
