"""The part of a graph that one node's output is computed from."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import subgraph

TOLERANCE = 1e-4


@dataclass(frozen=True)
class ComputationGraph:
    """The nodes that reach one node within some hops, and one hop more.

    The hop more keeps the degrees of the outermost nodes that count, by which graph convolutions divide.

    Attributes:
        graph: The part: `x`, `edge_index`, maybe `edge_weight`.
        node_id: int64 (M,), numbers of its nodes in the whole graph.
        place: Where the node is among them.
        hops: int64 (M,), hops from each node to it.
        carries: bool (E',), which edges a message on its way to the node can take.
        num_hops: How far messages come; None takes all that reach the node.
    """

    graph: Data
    node_id: Tensor
    place: int
    hops: Tensor
    carries: Tensor
    num_hops: int | None

    @classmethod
    def around(cls, graph: Data, node: int, num_hops: int | None) -> "ComputationGraph":
        """Cuts it out.

        Args:
            graph: The whole graph.
            node: Number of the node.
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
    """How many edges a message takes at least from each node to one node.

    Args:
        edge_index: int64 (2, E), sources and targets.
        node: Where it goes to.
        num_nodes: N.
        most: Look no further; None looks everywhere.

    Returns:
        int64 (N,), -1 for nodes that are further away or do not reach it.
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
    """Layers of message passing, as far as they can be counted: how far an encoder looks.

    Args:
        encoder: The encoder.

    Returns:
        The number of its `layers`, or of PyG's layers in it; None where there are neither, as in APPNP.
    """
    num_layers = sum(isinstance(module, MessagePassing) for module in encoder.modules())
    layers = getattr(encoder, "layers", ())
    return max(num_layers, len(layers)) or None


def _rows(x: Tensor, nodes: Tensor) -> Tensor:
    """Rows of dense or sparse features; what is sparse stays sparse."""
    if x.layout != torch.sparse_csr:
        return x[nodes]
    return x.to_sparse_coo().index_select(0, nodes).to_sparse_csr()
