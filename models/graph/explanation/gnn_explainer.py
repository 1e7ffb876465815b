"""GNNExplainer (Ying et al., NeurIPS 2019): importance of edges for the prediction of a node."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks

from models.graph.encoders.adjacency import Adjacency, WeightedEdges, normalized_adjacency, weigh_edges
from models.graph.encoders.encoder import GraphEncoder
from models.graph.encoders.sparse_matrix import SparseMatrix, as_dense, as_features
from models.graph.encoders.whole_graph import encode
from models.graph.explanation.computation_graph import TOLERANCE, ComputationGraph, count_hops

SIZE_WEIGHT = 0.005
ENTROPY_WEIGHT = 1.0


@dataclass(frozen=True)
class Explanation:
    """Importance of the edges around a node for its prediction.

    Attributes:
        node: Index of the node.
        logits: float32 (C,), logits of the node.
        logits_alone: float32 (C,), logits of the node without any messages.
        predicted: int64 (N,), predicted class of each node of the whole graph.
        edges: int64 (2, E'), edges on paths to the node, as node indices of the whole graph.
        importance: float32 (E',), in [0, 1]; at most the bottleneck of the best path from the edge to the node.
        hops: int64 (2, E'), distance of both ends of each edge from the node.
        num_hops: Receptive field in hops; None if the whole graph was searched.
    """

    node: int
    logits: Tensor
    logits_alone: Tensor
    predicted: Tensor
    edges: Tensor
    importance: Tensor
    hops: Tensor
    num_hops: int | None

    def strongest(self, count: int) -> Tensor:
        """Indices in `edges` of the most important ones, descending, int64 (at most `count`,).

        Ties are broken by distance to the node, nearer first.
        """
        nearest = self.hops[1].argsort(stable=True)
        return nearest[self.importance[nearest].argsort(descending=True, stable=True)][:count]


def explain_node(
    encoder: nn.Module,
    graph: Data | HeteroData,
    node: int,
    *,
    num_hops: int | None = None,
    num_epochs: int = 100,
    learning_rate: float = 0.05,
    seed: int = 0,
) -> Explanation:
    """Finds a small set of edges that preserves the predicted class, by optimising a mask over the edges.

    The search runs on the node's computation graph plus one hop, on which its logits equal those of the whole graph.
    This is verified: where they differ, because the encoder's receptive field exceeds its number of layers, the search
    runs on the whole graph.

    Args:
        encoder: Trained, returns logits; not modified.
        graph: The whole graph: `x`, `edge_index`, optionally `edge_weight`.
        node: Index of the node.
        num_hops: Receptive field of the encoder; None counts its layers.
        num_epochs: Optimisation steps.
        learning_rate: Learning rate of the mask.
        seed: Seed of the initial mask.

    Raises:
        ValueError: There is no such node, the graph is heterogeneous, or the encoder's messages cannot be masked.
    """
    if isinstance(graph, HeteroData):
        raise ValueError("data.graph: the graph has types of nodes; explanations are for graphs of one type")
    num_nodes = graph.x.shape[0]
    if not 0 <= node < num_nodes:
        raise ValueError(f"node: {node} given, the graph has nodes 0 to {num_nodes - 1}")
    if num_epochs < 1:
        raise ValueError(f"epochs: {num_epochs} given, at least 1 is needed")
    with _in_evaluation(encoder):
        everywhere = _logits(encoder, graph)
        logits = everywhere[node]
        cut = ComputationGraph.around(graph, node, num_hops or count_hops(encoder))
        if cut.num_hops is not None and not torch.allclose(
            _logits(encoder, cut.graph)[cut.target_index], logits, rtol=TOLERANCE, atol=TOLERANCE
        ):
            cut = ComputationGraph.around(graph, node, None)
        edge_mask = _search(encoder, cut, int(logits.argmax()), num_epochs, learning_rate, seed)
        with torch.no_grad():
            alone = MaskedEncoder(encoder, cut.graph)(torch.full_like(edge_mask, -100.0))[cut.target_index]
    edges = cut.graph.edge_index[:, cut.carries]
    return Explanation(
        node=node,
        logits=logits,
        logits_alone=alone,
        predicted=everywhere.argmax(-1),
        edges=cut.node_id[edges],
        importance=limit_by_path(edge_mask, cut)[cut.carries],
        hops=cut.hops[edges],
        num_hops=cut.num_hops,
    )


def limit_by_path(edge_mask: Tensor, cut: ComputationGraph) -> Tensor:
    """Limits the importance of edges to the bottleneck of the best path from them to the node.

    Once the edges between it and the node are masked out, an edge no longer affects the loss: the search leaves its
    mask at an arbitrary value, possibly near one.

    Args:
        edge_mask: (E',), mask of each edge of the computation graph.
        cut: The computation graph.

    Returns:
        (E',), at most `edge_mask`.
    """
    source, target = cut.graph.edge_index
    arrives = torch.zeros(len(cut.node_id), dtype=edge_mask.dtype)  # best bottleneck from each node to the target
    arrives[cut.target_index] = 1.0
    for _ in range(len(cut.node_id) if cut.num_hops is None else cut.num_hops - 1):
        further = arrives.scatter_reduce(0, source, torch.minimum(edge_mask, arrives[target]), "amax")
        if torch.equal(further, arrives):
            break
        arrives = further
    return torch.minimum(edge_mask, arrives[target])


@contextmanager
def _in_evaluation(encoder: nn.Module) -> Iterator[None]:
    """Context in evaluation mode, without gradients of the weights."""
    was_training, required_grad = encoder.training, [parameter.requires_grad for parameter in encoder.parameters()]
    encoder.eval().requires_grad_(False)
    try:
        yield
    finally:
        encoder.train(was_training)
        for parameter, requires_grad in zip(encoder.parameters(), required_grad, strict=True):
            parameter.requires_grad_(requires_grad)


@torch.no_grad()
def _logits(encoder: nn.Module, graph: Data) -> Tensor:
    return encode(encoder, Data(x=graph.x, edge_index=graph.edge_index, edge_weight=graph.get("edge_weight")))


def _search(
    encoder: nn.Module, cut: ComputationGraph, target: int, num_epochs: int, learning_rate: float, seed: int
) -> Tensor:
    """Optimised mask of each edge of the computation graph, (E',); 0 for edges without messages."""
    num_edges, num_nodes = cut.graph.edge_index.shape[1], cut.graph.x.shape[0]
    if not cut.carries.any():
        return torch.zeros(num_edges)
    # A hundredth of the authors' initial spread: with theirs, unimportant edges end near 0 or 1 as they began.
    spread = 0.01 * math.sqrt(2.0) * math.sqrt(2.0 / (2 * num_nodes))
    mask = nn.Parameter(torch.randn(num_edges, generator=torch.Generator().manual_seed(seed)) * spread)
    optimizer = torch.optim.Adam([mask], lr=learning_rate)
    masked = MaskedEncoder(encoder, cut.graph)
    target_class = torch.tensor([target])
    counts = cut.carries
    for epoch in range(num_epochs):
        optimizer.zero_grad()
        logits = masked(mask)[cut.target_index : cut.target_index + 1]
        loss = F.cross_entropy(logits, target_class)
        if not loss.requires_grad:
            raise ValueError(
                f"model.encoder: {type(encoder).__name__} passes no messages that a share could weigh: it neither has "
                "layers of PyG nor multiplies by the normalised adjacency"
            )
        if epoch == 0:
            (gradient,) = torch.autograd.grad(loss, mask, retain_graph=True)
            counts = counts & (gradient != 0)
            if not counts.any():
                return torch.zeros(num_edges)
        edge_mask = mask[counts].sigmoid()
        entropy = F.binary_cross_entropy_with_logits(mask[counts], edge_mask)
        (loss + SIZE_WEIGHT * edge_mask.sum() + ENTROPY_WEIGHT * entropy).backward()
        optimizer.step()
    return torch.where(counts, mask.detach().sigmoid(), 0.0)


class MaskedEncoder:
    """An encoder on a fixed graph whose messages are multiplied by a mask over the edges.

    Encoders that multiply by the normalised adjacency receive masked entries, degrees unchanged; PyG's layers mask
    their messages. Attention is not renormalised: a masked neighbour keeps its attention weight.

    Args:
        encoder: The encoder.
        graph: The graph.
    """

    def __init__(self, encoder: nn.Module, graph: Data) -> None:
        self.encoder = encoder
        self.edge_index: Tensor = graph.edge_index
        self.edge_weight: Tensor | None = graph.get("edge_weight")
        num_nodes = int(graph.x.shape[0])
        self.adjacency: Adjacency | None = None
        self.x: Tensor | SparseMatrix
        if not isinstance(encoder, GraphEncoder):
            self.x = as_dense(graph.x)
            return
        self.x = as_features(graph.x)
        if isinstance(encoder.prepare(self.edge_index, self.edge_weight, num_nodes), SparseMatrix):
            self.adjacency = normalized_adjacency(self.edge_index, self.edge_weight, num_nodes)

    def __call__(self, mask: Tensor) -> Tensor:
        """Outputs (N, C) for mask logits (E,)."""
        if isinstance(self.adjacency, WeightedEdges):
            return self.encoder(self.x, weigh_edges(self.adjacency, self.edge_index, mask.sigmoid()))
        weight = () if self.edge_weight is None else (self.edge_weight,)
        set_masks(self.encoder, mask, self.edge_index, apply_sigmoid=True)
        try:
            return self.encoder(self.x, self.edge_index, *weight)
        finally:
            clear_masks(self.encoder)
