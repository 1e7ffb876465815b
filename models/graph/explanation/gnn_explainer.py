"""Which edges a node's prediction rests on (GNNExplainer, Ying et al., NeurIPS 2019)."""

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
    """How much each edge around a node counts for what is predicted for it.

    Attributes:
        node: Number of the node.
        logits: float32 (C,), of the node.
        logits_alone: float32 (C,), of the node without any message.
        predicted: int64 (N,), the predicted class of each node of the whole graph.
        edges: int64 (2, E'), the edges that a message to the node can take, numbers of nodes in the whole graph.
        importance: float32 (E',), from 0 to 1; no edge has more than the best path by which its message comes.
        hops: int64 (2, E'), how far the ends of each edge are from the node.
        num_hops: How far messages come to the node; None if the whole graph was searched.
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
        """Places in `edges` of the most important ones, first the most important, int64 (at most `count`,).

        Of equal ones that which is nearer to the node comes first.
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
    """Finds a small set of edges that keeps the predicted class: a share per edge, learned by gradient.

    The search runs on the nodes that can reach the node and one hop more, on which the node's logits are those of the
    whole graph. This is checked: where they differ, because the encoder looks further than its layers tell, the search
    runs on the whole graph.

    Args:
        encoder: Its outputs are logits; trained, and left as it is.
        graph: The whole graph: `x`, `edge_index`, maybe `edge_weight`.
        node: Number of the node.
        num_hops: How far the encoder looks; None counts its layers.
        num_epochs: Steps of the search.
        learning_rate: Of the search.
        seed: Of the shares at the start.

    Raises:
        ValueError: There is no such node, the graph has types, or the encoder's messages cannot be weighed.
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
            _logits(encoder, cut.graph)[cut.place], logits, rtol=TOLERANCE, atol=TOLERANCE
        ):
            cut = ComputationGraph.around(graph, node, None)
        share = _search(encoder, cut, int(logits.argmax()), num_epochs, learning_rate, seed)
        with torch.no_grad():
            alone = MaskedEncoder(encoder, cut.graph)(torch.full_like(share, -100.0))[cut.place]
    edges = cut.graph.edge_index[:, cut.carries]
    return Explanation(
        node=node,
        logits=logits,
        logits_alone=alone,
        predicted=everywhere.argmax(-1),
        edges=cut.node_id[edges],
        importance=limit_by_path(share, cut)[cut.carries],
        hops=cut.hops[edges],
        num_hops=cut.num_hops,
    )


def limit_by_path(share: Tensor, cut: ComputationGraph) -> Tensor:
    """Shares that no longer exceed the weakest edge of the best path from there to the node.

    The message of an edge that nothing joins to the node never comes: once the edges in between have gone, the search
    leaves its share wherever it happened to be, which may be near one.

    Args:
        share: (E',), of each edge of the cut.
        cut: The cut.

    Returns:
        (E',), at most `share`.
    """
    source, target = cut.graph.edge_index
    arrives = torch.zeros(len(cut.node_id), dtype=share.dtype)  # share of what a node sends on
    arrives[cut.place] = 1.0
    for _ in range(len(cut.node_id) if cut.num_hops is None else cut.num_hops - 1):
        further = arrives.scatter_reduce(0, source, torch.minimum(share, arrives[target]), "amax")
        if torch.equal(further, arrives):
            break
        arrives = further
    return torch.minimum(share, arrives[target])


@contextmanager
def _in_evaluation(encoder: nn.Module) -> Iterator[None]:
    """Without dropout, and without gradients of the weights."""
    was_training, wanted = encoder.training, [parameter.requires_grad for parameter in encoder.parameters()]
    encoder.eval().requires_grad_(False)
    try:
        yield
    finally:
        encoder.train(was_training)
        for parameter, wants in zip(encoder.parameters(), wanted, strict=True):
            parameter.requires_grad_(wants)


@torch.no_grad()
def _logits(encoder: nn.Module, graph: Data) -> Tensor:
    return encode(encoder, Data(x=graph.x, edge_index=graph.edge_index, edge_weight=graph.get("edge_weight")))


def _search(
    encoder: nn.Module, cut: ComputationGraph, target: int, num_epochs: int, learning_rate: float, seed: int
) -> Tensor:
    """The share of each edge of the cut, (E',); 0 where no message goes."""
    num_edges, num_nodes = cut.graph.edge_index.shape[1], cut.graph.x.shape[0]
    if not cut.carries.any():
        return torch.zeros(num_edges)
    # A hundredth of what the authors draw: with theirs, edges that hardly count end near one or zero as they began.
    spread = 0.01 * math.sqrt(2.0) * math.sqrt(2.0 / (2 * num_nodes))
    mask = nn.Parameter(torch.randn(num_edges, generator=torch.Generator().manual_seed(seed)) * spread)
    optimizer = torch.optim.Adam([mask], lr=learning_rate)
    masked = MaskedEncoder(encoder, cut.graph)
    wanted = torch.tensor([target])
    counts = cut.carries
    for epoch in range(num_epochs):
        optimizer.zero_grad()
        logits = masked(mask)[cut.place : cut.place + 1]
        loss = F.cross_entropy(logits, wanted)
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
        share = mask[counts].sigmoid()
        entropy = F.binary_cross_entropy_with_logits(mask[counts], share)
        (loss + SIZE_WEIGHT * share.sum() + ENTROPY_WEIGHT * entropy).backward()
        optimizer.step()
    return torch.where(counts, mask.detach().sigmoid(), 0.0)


class MaskedEncoder:
    """An encoder on one graph, whose messages are weighed by a share per edge.

    Encoders that multiply by the normalised adjacency get it with weighed entries, degrees unchanged; PyG's layers
    weigh their messages themselves. Attention is not renormalised: a neighbour whose message is gone still takes its
    part of it.

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
        """(N, C) of the shares' logits (E,)."""
        if isinstance(self.adjacency, WeightedEdges):
            return self.encoder(self.x, weigh_edges(self.adjacency, self.edge_index, mask.sigmoid()))
        weight = () if self.edge_weight is None else (self.edge_weight,)
        set_masks(self.encoder, mask, self.edge_index, apply_sigmoid=True)
        try:
            return self.encoder(self.x, self.edge_index, *weight)
        finally:
            clear_masks(self.encoder)
