"""Computation graph of a node: the subgraph that its output depends on."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import subgraph

TOLERANCE = 1e-4


@dataclass(frozen=True)
class ComputationGraph:
    """The nodes within some hops of a node, plus one more hop.

    The additional hop preserves the degrees of the outermost nodes that matter, by which graph convolutions divide.

    Attributes:
        graph: The subgraph: `x`, `edge_index`, optionally `edge_weight`.
        node_id: int64 (M,), indices of its nodes in the whole graph.
        target_index: Index of the node in the subgraph.
        hops: int64 (M,), distance from each node to the target node.
        carries: bool (E',), edges on paths to the target node.
        num_hops: Receptive field in hops; None for unlimited.
    """

    graph: Data
    node_id: Tensor
    target_index: int
    hops: Tensor
    carries: Tensor
    num_hops: int | None

    @classmethod
    def around(cls, graph: Data, node: int, num_hops: int | None) -> "ComputationGraph":
        """Extracts the computation graph of a node.

        Args:
            graph: The whole graph.
            node: Index of the node.
            num_hops: Layers of message passing; None keeps the whole graph.
        """
        num_nodes = graph.x.shape[0]
        hops = hops_to(graph.edge_index, node, num_nodes, most=None if num_hops is None else num_hops + 1)
        node_id = torch.arange(num_nodes) if num_hops is None else (hops >= 0).nonzero().squeeze(-1)
        edge_index, edge_weight = subgraph(
            node_id, graph.edge_index, graph.get("edge_weight"), relabel_nodes=True, num_nodes=num_nodes
        )
        x = graph.x if num_hops is None else _rows(graph.x, node_id)
        part = Data(x=x, edge_index=edge_index)
        if edge_weight is not None:
            part.edge_weight = edge_weight
        hops = hops[node_id]
        target_hops = hops[edge_index[1]]
        carries = target_hops >= 0
        if num_hops is not None:
            carries &= target_hops < num_hops
        return cls(part, node_id, int((node_id == node).nonzero()), hops, carries, num_hops)


def hops_to(edge_index: Tensor, node: int, num_nodes: int, *, most: int | None = None) -> Tensor:
    """Shortest-path distance from each node to one node, along edge directions.

    Args:
        edge_index: int64 (2, E), sources and targets.
        node: Target node.
        num_nodes: N.
        most: Maximum distance; None for unlimited.

    Returns:
        int64 (N,), -1 for nodes that are further away or cannot reach it.
    """
    hops = torch.full((num_nodes,), -1)
    hops[node] = 0
    source, target = edge_index
    for hop in range(1, (num_nodes if most is None else most) + 1):
        reached = source[hops[target] == hop - 1]
        new = reached[hops[reached] < 0]
        if not len(new):
            break
        hops[new] = hop
    return hops


def count_hops(encoder: nn.Module) -> int | None:
    """Receptive field of an encoder in hops, as far as its layers can be counted.

    Args:
        encoder: The encoder.

    Returns:
        The number of its `layers`, or of PyG's layers in it; None if it has neither, as APPNP.
    """
    num_layers = sum(isinstance(module, MessagePassing) for module in encoder.modules())
    layers = getattr(encoder, "layers", ())
    return max(num_layers, len(layers)) or None


def _rows(x: Tensor, nodes: Tensor) -> Tensor:
    """Selects rows of dense or sparse features, preserving the layout."""
    if x.layout != torch.sparse_csr:
        return x[nodes]
    return x.to_sparse_coo().index_select(0, nodes).to_sparse_csr()
