"""EnclosingSubgraphs: the nodes and edges around pairs of nodes, labelled by their distances from the two."""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.graph.encoders.sparse_matrix import SparseMatrix

_FAR = 1 << 20


@dataclass(frozen=True)
class EnclosingSubgraphs:
    """Subgraphs of P pairs side by side, with S nodes and T directed edges in all.

    Attributes:
        node: int64 (S,), numbers of the nodes in the graph.
        pair: int64 (S,), the pair that each belongs to, ascending.
        label: int64 (S,), see `double_radius_labels`.
        edge_index: int64 (2, T), positions among the S nodes, both directions of every edge.
        ends: int64 (2, P), positions of the two nodes of each pair.
    """

    node: Tensor
    pair: Tensor
    label: Tensor
    edge_index: Tensor
    ends: Tensor

    def normalized(self) -> SparseMatrix:
        """Adjacency with self-loops, divided by the roots of the degrees of both ends (Kipf & Welling), S x S."""
        num_nodes = len(self.node)
        loops = torch.arange(num_nodes, device=self.node.device)
        source, target = torch.cat([self.edge_index, loops.expand(2, -1)], dim=1)
        scale = torch.bincount(source, minlength=num_nodes).float().rsqrt()
        return SparseMatrix.from_edges(torch.stack([source, target]), scale[source] * scale[target], num_nodes)


class SubgraphExtractor:
    """Extracts the subgraphs that enclose pairs of nodes, all pairs of a batch at once.

    The edge between the two nodes of a pair, if there is one, is taken out before anything else: it is neither among
    the edges nor a way to other nodes. A link that is trained on thus looks like one that is held out.

    Args:
        edge_index: int64 (2, E); direction, self-loops and repetitions are ignored.
        num_nodes: N.
        num_hops: Nodes at most this far from one of the two are taken.
        max_per_hop: Nodes that a hop may add to a subgraph; of more, those of the lowest degree are taken, which say
            the most about their few neighbours.
    """

    def __init__(self, edge_index: Tensor, num_nodes: int, *, num_hops: int, max_per_hop: int) -> None:
        self.num_nodes = num_nodes
        self.num_hops = num_hops
        self.max_per_hop = max_per_hop
        kept = edge_index[:, edge_index[0] != edge_index[1]]
        both = torch.cat([kept, kept.flip(0)], dim=1)
        keys = (both[0] * num_nodes + both[1]).unique()  # ascending: sorted by source
        source = torch.div(keys, num_nodes, rounding_mode="floor")
        self.target = keys % num_nodes
        self.degree = torch.bincount(source, minlength=num_nodes)
        self.first = self.degree.cumsum(0) - self.degree

    def extract(self, pairs: Tensor) -> EnclosingSubgraphs:
        """Subgraphs around pairs of different nodes, int64 (2, P)."""
        num_pairs = pairs.shape[1]
        starts = torch.arange(num_pairs, device=pairs.device) * self.num_nodes
        ends = pairs + starts  # a key is pair * N + node
        known = frontier = ends.flatten().sort().values
        for _ in range(self.num_hops):
            _, reached = self._step(frontier, pairs)
            reached = reached.unique()
            frontier = self._least_degrees(reached[~_among(reached, known)], num_pairs)
            known = torch.cat([known, frontier]).sort().values
        position, reached = self._step(known, pairs)
        inside = _among(reached, known)
        edge_index = torch.stack([position[inside], torch.searchsorted(known, reached[inside])])
        places = torch.searchsorted(known, ends)
        return EnclosingSubgraphs(
            node=known % self.num_nodes,
            pair=torch.div(known, self.num_nodes, rounding_mode="floor"),
            label=double_radius_labels(edge_index, places, len(known)),
            edge_index=edge_index,
            ends=places,
        )

    def _step(self, keys: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
        """Neighbours of nodes, without the edge of their pair: positions among `keys` and keys of the neighbours."""
        node, pair = keys % self.num_nodes, torch.div(keys, self.num_nodes, rounding_mode="floor")
        counts = self.degree[node]
        position = torch.repeat_interleave(counts)
        before = counts.cumsum(0) - counts
        place = torch.arange(len(position), device=keys.device) + (self.first[node] - before)[position]
        neighbor = self.target[place]
        low, high = torch.minimum(node[position], neighbor), torch.maximum(node[position], neighbor)
        own = pairs[:, pair[position]]
        kept = (low != own.amin(0)) | (high != own.amax(0))
        position = position[kept]
        return position, pair[position] * self.num_nodes + neighbor[kept]

    def _least_degrees(self, keys: Tensor, num_pairs: int) -> Tensor:
        """At most `max_per_hop` keys of each pair."""
        pair = torch.div(keys, self.num_nodes, rounding_mode="floor")
        counts = torch.bincount(pair, minlength=num_pairs)
        if int(counts.max()) <= self.max_per_hop:
            return keys
        order = self.degree[keys % self.num_nodes].argsort(stable=True)
        order = order[pair[order].argsort(stable=True)]
        rank = torch.arange(len(keys), device=keys.device) - (counts.cumsum(0) - counts)[pair[order]]
        return keys[order[rank < self.max_per_hop]]


def double_radius_labels(edge_index: Tensor, ends: Tensor, num_nodes: int) -> Tensor:
    """Labels of nodes by their distances x and y from the two nodes of their pair, int64 (S,).

    1 for the two themselves, 0 where one of them is out of reach, else 1 + min(x, y) + (d // 2) (d // 2 + d % 2 - 1)
    with d = x + y; the way from one does not lead through the other (Zhang & Chen, "Link prediction based on graph
    neural networks", NeurIPS 2018).

    Args:
        edge_index: int64 (2, T), both directions of every edge.
        ends: int64 (2, P).
        num_nodes: S.
    """
    there, back = (_distances(edge_index, start, other, num_nodes) for start, other in (ends, ends.flip(0)))
    total = there + back
    half = torch.div(total, 2, rounding_mode="floor")
    label = 1 + torch.minimum(there, back) + half * (half + total % 2 - 1)
    label = torch.where(total >= _FAR, 0, label)
    label[ends.flatten()] = 1
    return label


def _distances(edge_index: Tensor, starts: Tensor, closed: Tensor, num_nodes: int) -> Tensor:
    """Steps from the start of each subgraph to its nodes, int64 (S,), past its closed node; `_FAR` without a way."""
    source, target = edge_index
    is_closed = torch.zeros(num_nodes, dtype=torch.bool, device=starts.device)
    is_closed[closed] = True
    open_edges = ~(is_closed[source] | is_closed[target])
    source, target = source[open_edges], target[open_edges]
    distance = torch.full((num_nodes,), _FAR, device=starts.device)
    distance[starts] = 0
    while True:
        nearer = distance.scatter_reduce(0, target, distance[source] + 1, "amin").clamp(max=_FAR)
        if torch.equal(nearer, distance):
            return distance
        distance = nearer


def _among(keys: Tensor, known: Tensor) -> Tensor:
    """Whether keys are among ascending ones, bool."""
    place = torch.searchsorted(known, keys).clamp(max=max(len(known) - 1, 0))
    return known[place] == keys
