"""HardNegatives: a link split whose negatives are ranked high by link prediction heuristics."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch_geometric.data import Data
from typing_extensions import override

from datamodules.graph.splits.link_split import LinkSplit, Positives

_MOST_NODES = 30_000
_BLOCK_CELLS = 4_000_000
"""Scores computed at a time, per heuristic: 16 MB in float32."""
_RESTART = 0.15
_WALK_STEPS = 20


class HardNegatives(LinkSplit):
    """Each held-out link is ranked among K negatives that simple heuristics score high.

    Half of a link's negatives keep one end, half the other; the other end is replaced by nodes that no edge of the
    whole graph joins to the end that is kept, those with the best rank in any of three rankings: resource allocation
    (common neighbours, each weighted by the inverse of its degree), personalised PageRank, and cosine similarity of the
    features. All three use only the training edges.

    This follows the idea of HeaRT (Li et al., NeurIPS 2023, arXiv:2306.10453), but neither its files nor exactly its
    sampling and merging of the rankings, so results are not comparable with published ones.

    Every held-out node is compared with every other in each run: 10,000 nodes of degree 10 take about 20 s on one core,
    and nine times that at the limit of 30,000 nodes; larger graphs raise.

    Args:
        val: Fraction of validation links.
        test: Fraction of test links.
        seed: Random seed; None for the run's `seed_everything`.
        per_positive: Negatives of each link, K; even.
    """

    def __init__(self, *, val: float = 0.05, test: float = 0.10, seed: int | None = 0, per_positive: int = 500) -> None:
        super().__init__(val=val, test=test, seed=seed)
        if per_positive < 2 or per_positive % 2:
            raise ValueError(
                f"data.split.per_positive: {per_positive} given, an even number is needed, half for each end of a link"
            )
        self.per_positive = per_positive

    @property
    @override
    def name(self) -> str:
        return "link_hard_negatives_mrr"

    @override
    def describe(self) -> str:
        ranking = "resource allocation, personalised PageRank and cosine of features"
        return f"{self.fractions()}; {self.per_positive} negatives of each link, the highest by {ranking}"

    @override
    def negatives(self, graph: Data, positives: Positives, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
        if len(graph.x) > _MOST_NODES:
            raise ValueError(
                f"data.split: HardNegatives compares every two nodes, and the graph has {len(graph.x):,}; allowed are "
                f"{_MOST_NODES:,}. Choose RandomLinkSplit, or give a smaller graph"
            )
        both = torch.cat([positives.val, positives.test], dim=1)
        kept, inverse = both.unique(return_inverse=True)  # (U,), (2, P)
        partners = self._partners(graph, positives.message_mask, kept.numpy(), generator)[inverse]  # (2, P, K/2)
        ends = both.int().unsqueeze(-1).expand_as(partners)
        negative = torch.stack(
            [torch.cat([ends[0], partners[1]], dim=-1), torch.cat([partners[0], ends[1]], dim=-1)]
        )  # (2, P, K)
        val, test = negative.tensor_split((positives.val.shape[1],), dim=1)
        return val, test

    def _partners(self, graph: Data, message_mask: Tensor, kept: np.ndarray, generator: np.random.Generator) -> Tensor:
        """The K/2 best-ranked non-neighbours of each kept node, int32 (U, K/2)."""
        num_partners = self.per_positive // 2
        known = _adjacency(graph.edge_index, len(graph.x))
        most = known.sum(1)[kept].max()
        if len(graph.x) - 1 - most < num_partners:
            raise ValueError(
                f"data.split.per_positive: {self.per_positive} given, but a node with {int(most)} neighbours leaves "
                f"{len(graph.x) - 1 - int(most)} nodes for the {num_partners} that replace one end; give a smaller one"
            )
        heuristics = _Heuristics(_adjacency(graph.edge_index[:, message_mask], len(graph.x)), graph.x)
        partners = []
        for nodes in np.array_split(kept, -(-len(kept) * len(graph.x) // _BLOCK_CELLS)):
            forbidden = torch.from_numpy(known[nodes].toarray() > 0)
            forbidden[torch.arange(len(nodes)), torch.from_numpy(nodes)] = True
            partners.append(_merge(heuristics.scores(nodes), forbidden, num_partners, generator).int())
        return torch.cat(partners)


class _Heuristics:
    """Scores of all nodes as neighbours of some nodes.

    Args:
        adjacency: (N, N), without self-loops.
        x: float32 (N, F), dense or `torch.sparse_csr`.
    """

    def __init__(self, adjacency: sparse.csr_array, x: Tensor) -> None:
        self.adjacency = adjacency
        degree = np.maximum(adjacency.sum(1), 1).astype(np.float32)
        self.walk = sparse.csr_array(adjacency.multiply(1 / degree[:, None]))  # rows sum to 1
        if x.layout == torch.sparse_csr:
            parts = (x.values().numpy(), x.col_indices().numpy(), x.crow_indices().numpy())
            features: Any = sparse.csr_array(parts, shape=tuple(x.shape))
            length = np.sqrt(features.power(2).sum(1))
            self.features = sparse.csr_array(features.multiply(1 / np.maximum(length, 1e-12)[:, None]))
        else:
            self.features = torch.nn.functional.normalize(x, dim=1).numpy()

    def scores(self, nodes: np.ndarray) -> Iterator[np.ndarray]:
        """Scores float32 (B, N) of each heuristic; 0 means no evidence."""
        yield (self.adjacency[nodes] @ self.walk).toarray()  # sum over common neighbours of 1 / degree
        yield self._pagerank(nodes)
        similarity = self.features[nodes] @ self.features.T
        yield similarity if isinstance(similarity, np.ndarray) else similarity.toarray()

    def _pagerank(self, nodes: np.ndarray) -> np.ndarray:
        """Personalised PageRank: random walks that restart with a probability of 0.15 at each step."""
        restart = np.zeros((len(nodes), self.walk.shape[0]), dtype=np.float32)
        restart[np.arange(len(nodes)), nodes] = 1
        reached = restart
        for _ in range(_WALK_STEPS):
            reached = _RESTART * restart + (1 - _RESTART) * (reached @ self.walk)
        return reached


def _merge(
    scores: Iterator[np.ndarray], forbidden: Tensor, num_partners: int, generator: np.random.Generator
) -> Tensor:
    """The nodes with the best rank in any ranking, int64 (B, num_partners); ties are broken at random.

    Only a ranking's first `num_partners` can be among them. If the rankings have too few nodes with a score, nodes
    without one are added.
    """
    size = forbidden.shape
    noise = torch.from_numpy(generator.random(size, dtype=np.float32))
    best_rank = (num_partners + noise).masked_fill(forbidden, torch.inf)  # (B, N)
    for score in scores:
        # Noise smaller than typical score differences breaks ties, so that low node indices are not preferred.
        noisy = torch.from_numpy(score) * (1 + 1e-4 * noise)
        best, node = noisy.masked_fill(forbidden, 0.0).topk(num_partners, dim=1)
        rank = torch.arange(num_partners) + noise.gather(1, node) / 2
        rank = torch.where(best > 0, rank, torch.inf).to(best_rank.dtype)
        best_rank.scatter_reduce_(1, node, rank, "amin")
    return best_rank.topk(num_partners, dim=1, largest=False).indices


def _adjacency(edge_index: Tensor, num_nodes: int) -> sparse.csr_array:
    """Binary adjacency without self-loops, float32 (N, N)."""
    source, target = edge_index[:, edge_index[0] != edge_index[1]].numpy()
    ones = np.ones(len(source), dtype=np.float32)
    adjacency = sparse.coo_array((ones, (source, target)), shape=(num_nodes, num_nodes)).tocsr()
    adjacency.data[:] = 1  # repeated edges count once
    return adjacency
