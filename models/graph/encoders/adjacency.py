"""Symmetrically normalised adjacency D^-1/2 (A + I) D^-1/2 of graph convolutions (Kipf & Welling, 2017)."""

import torch
from torch import Tensor
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.utils import scatter

from models.graph.encoders.sparse_matrix import SparseMatrix


class WeightedEdges:
    """A matrix (N, N) defined by edges; products gather and scatter, which exports to ONNX.

    Args:
        edge_index: int64 (2, E), sources and targets.
        edge_weight: (E,).
    """

    def __init__(self, edge_index: Tensor, edge_weight: Tensor) -> None:
        self.edge_index = edge_index
        self.edge_weight = edge_weight

    def __matmul__(self, dense: Tensor) -> Tensor:
        source, target = self.edge_index
        messages = self.edge_weight.unsqueeze(-1) * dense[source]
        return scatter(messages, target, dim_size=dense.shape[0]).to(dense.dtype)


Adjacency = SparseMatrix | WeightedEdges


def normalized_matrix(edge_index: Tensor, edge_weight: Tensor | None, num_nodes: int) -> SparseMatrix:
    """Normalised adjacency as a sparse matrix, for graphs that are used repeatedly.

    Args:
        edge_index: int64 (2, E), sources and targets.
        edge_weight: float32 (E,), or None.
        num_nodes: N.
    """
    edges, weight = gcn_norm(edge_index, edge_weight, num_nodes)
    return SparseMatrix.from_edges(edges, weight, num_nodes)


def weigh_edges(adjacency: WeightedEdges, edge_index: Tensor, mask: Tensor) -> WeightedEdges:
    """Multiplies normalised edges by a mask; degrees stay those of the whole graph.

    Self-loops keep their weight, as in PyG's layers under an edge mask.

    Args:
        adjacency: Result of `normalized_adjacency`.
        edge_index: int64 (2, E), the edges it was computed from.
        mask: float32 (E,), the mask; gradients flow to it.
    """
    # gcn_norm moves self-loops to the end, one per node.
    others = mask[edge_index[0] != edge_index[1]]
    loops = others.new_ones(len(adjacency.edge_weight) - len(others))
    return WeightedEdges(adjacency.edge_index, adjacency.edge_weight * torch.cat([others, loops]))


def normalized_adjacency(edge_index: Tensor | Adjacency, edge_weight: Tensor | None, num_nodes: int) -> Adjacency:
    """A prepared adjacency unchanged, or the normalised edges; arguments as in `normalized_matrix`."""
    if isinstance(edge_index, Tensor):
        return WeightedEdges(*gcn_norm(edge_index, edge_weight, num_nodes))
    return edge_index
