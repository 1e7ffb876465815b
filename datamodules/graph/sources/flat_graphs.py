"""FlatGraphs: a set of graphs in concatenated tensors, so that batches are gathered by a few indexing operations."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from datamodules.graph.sources.graph_check import add_reverse_edges, check_features, merge_repeated_edges


@dataclass(frozen=True)
class FlatGraphs:
    """G graphs, concatenated.

    Attributes:
        x: Node features, float32 (sum of nodes, F).
        edge_index: Edges, int64 (2, sum of edges), with node indices that start at 0 in every graph.
        node_ptr: Graph g has the nodes `node_ptr[g]` to `node_ptr[g + 1]`, int64 (G + 1,).
        edge_ptr: Graph g has the edges `edge_ptr[g]` to `edge_ptr[g + 1]`, int64 (G + 1,).
        y: Classes int64 (G,), -1 = no label; or targets float32 (G, T), NaN = no label.
        edge_attr: Edge features float32 (sum of edges, D), if any.
        edge_weight: Edge weights float32 (sum of edges,), if any.
        class_names: Names of the classes, if any.
        graph_names: The user's ids of the graphs (G,), if any.
        source_name: Name of the set.
    """

    x: Tensor
    edge_index: Tensor
    node_ptr: Tensor
    edge_ptr: Tensor
    y: Tensor
    edge_attr: Tensor | None = None
    edge_weight: Tensor | None = None
    class_names: list[str] | None = None
    graph_names: np.ndarray | None = None
    source_name: str = ""

    def __len__(self) -> int:
        return len(self.node_ptr) - 1

    @property
    def num_features(self) -> int:
        """Features of a node."""
        return self.x.shape[1]

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 for regression."""
        if self.y.is_floating_point():
            return 0
        return len(self.class_names) if self.class_names is not None else int(self.y.max()) + 1

    @property
    def labelled(self) -> np.ndarray:
        """Indices of the labelled graphs, int64, ascending."""
        has_label = self.y.isfinite().all(1) if self.y.is_floating_point() else self.y >= 0
        return has_label.nonzero()[:, 0].numpy()

    def batch(self, indices: np.ndarray) -> Data:
        """Gathers graphs into one disconnected graph, like PyG's `Batch.from_data_list`.

        Args:
            indices: Indices of the graphs, int64 (B,), in any order, repetitions allowed.

        Returns:
            `x` (N, F), `edge_index` (2, E) numbered within the batch, `batch` int64 (N,) graph of each node, `y`,
            `graph_id` int64 (B,), `num_graphs`, and `edge_attr`, `edge_weight` if the set has them.
        """
        graph_id = torch.as_tensor(np.asarray(indices, dtype=np.int64))
        nodes, node_graph, first_node = _ranges(self.node_ptr, graph_id)
        edges, edge_graph, _ = _ranges(self.edge_ptr, graph_id)
        data = Data(
            x=self.x[nodes],
            edge_index=self.edge_index[:, edges] + first_node[edge_graph],
            batch=node_graph,
            y=self.y[graph_id],
            graph_id=graph_id,
            num_graphs=len(graph_id),
        )
        if self.edge_attr is not None:
            data.edge_attr = self.edge_attr[edges]
        if self.edge_weight is not None:
            data.edge_weight = self.edge_weight[edges]
        return data


def _ranges(ptr: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of all items of the chosen graphs, each item's index in `chosen`, and first items (B,)."""
    sizes = ptr[chosen + 1] - ptr[chosen]
    ends = sizes.cumsum(0)
    starts = ends - sizes
    graph = torch.repeat_interleave(torch.arange(len(chosen)), sizes)
    positions = torch.arange(len(graph)) + (ptr[chosen] - starts)[graph]
    return positions, graph, starts


def check_graphs(
    graphs: FlatGraphs, *, name: str, undirected: bool = False, feature_names: Sequence[str] | None = None
) -> tuple[FlatGraphs, dict[str, int]]:
    """Raises on invalid graphs, merges repeated edges, and counts valid but unusual properties.

    A graph without nodes is kept, with a readout of zeros; repeated edges are merged as in `check_graph`.

    Args:
        graphs: The set.
        name: Name of the set for messages.
        undirected: Add the reverse of each edge afterwards.
        feature_names: Names of the feature columns, for messages.

    Returns:
        The set, and counts: num_graphs, num_nodes, num_features, num_edges, num_empty_graphs, num_isolated,
        num_self_loops, num_merged_edges, num_unlabelled.

    Raises:
        ValueError: There is no graph or no node at all, an edge refers to a missing node, or a feature is NaN or
            infinite.
    """
    if not len(graphs):
        raise ValueError(f"data.graphs: {name} has no graphs; give at least one")
    if not len(graphs.x):
        raise ValueError(f"data.graphs: {name} has {len(graphs)} graphs, but none of them has a node")
    check_features(graphs.x, name=name, feature_names=feature_names)
    num_nodes = graphs.node_ptr.diff()
    edge_graph = torch.repeat_interleave(torch.arange(len(graphs)), graphs.edge_ptr.diff())
    wrong = ((graphs.edge_index < 0) | (graphs.edge_index >= num_nodes[edge_graph])).any(0)
    if wrong.any():
        edge = int(wrong.nonzero()[0])
        graph, (source, target) = int(edge_graph[edge]), graphs.edge_index[:, edge].tolist()
        raise ValueError(
            f"data.graphs: {name}: an edge of graph {graph} joins its nodes {source} and {target}, "
            f"but it has {int(num_nodes[graph])} nodes, numbered from 0; remove the edge or add the node"
        )
    merged = Data(edge_index=graphs.edge_index + graphs.node_ptr[edge_graph])
    if graphs.edge_weight is not None and not graphs.edge_weight.isfinite().all():
        edge = int((~graphs.edge_weight.isfinite()).nonzero()[0])
        raise ValueError(
            f"data.graphs: {name}: edge {edge} has weight {float(graphs.edge_weight[edge])}; give a number"
        )
    for field in ("edge_attr", "edge_weight"):
        if (values := getattr(graphs, field)) is not None:
            merged[field] = values
    num_merged = merge_repeated_edges(merged)
    num_edges = merged.edge_index.shape[1]
    if undirected:
        add_reverse_edges(merged)
    if num_merged or undirected:
        graphs = _with_edges(graphs, merged)
    source, target = merged.edge_index
    is_loop = source == target
    connected = torch.zeros(len(graphs.x), dtype=torch.bool)
    connected[merged.edge_index[:, ~is_loop].flatten()] = True
    return replace(graphs, source_name=name), {
        "num_graphs": len(graphs),
        "num_nodes": len(graphs.x),
        "num_features": graphs.num_features,
        "num_edges": num_edges,
        "num_empty_graphs": int((num_nodes == 0).sum()),
        "num_isolated": int((~connected).sum()),
        "num_self_loops": int(is_loop.sum()),
        "num_merged_edges": num_merged,
        "num_unlabelled": len(graphs) - len(graphs.labelled),
    }


def _with_edges(graphs: FlatGraphs, edges: Data) -> FlatGraphs:
    """Replaces the edges of the graphs; the new ones are numbered over all nodes and in any order."""
    edge_graph = torch.searchsorted(graphs.node_ptr, edges.edge_index[0], right=True) - 1
    edge_graph, order = edge_graph.sort(stable=True)
    num_edges = torch.bincount(edge_graph, minlength=len(graphs))
    return replace(
        graphs,
        edge_index=edges.edge_index[:, order] - graphs.node_ptr[edge_graph],
        edge_ptr=torch.cat([num_edges.new_zeros(1), num_edges.cumsum(0)]),
        edge_attr=edges.edge_attr[order] if "edge_attr" in edges else None,
        edge_weight=edges.edge_weight[order] if "edge_weight" in edges else None,
    )
