"""Batches of links: pairs on a whole graph, or links with their sampled neighbourhoods."""

import copy

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.sampler import NodeSamplerInput
from typing_extensions import override

from datamodules.graph.sampling.keyed_sampler import KeyedSampler
from datamodules.graph.sampling.neighborhoods import KeyedIndices, part
from datamodules.graph.sampling.whole_graph import WholeGraph
from datamodules.graph.splits.non_edges import NonEdges

_NEGATIVES = 3  # separates the random stream of negatives from that of neighbours


class WholeGraphPairs(WholeGraph):
    """Pairs to score on one graph, all at once or in batches.

    Args:
        batch: All pairs, see `LinkDataModule`.
    """

    shareable = True

    def __init__(self, batch: Data) -> None:
        super().__init__(batch)
        self.batch = batch

    def __len__(self) -> int:
        return int(self.batch.edge_label_index.shape[1])

    def __getitems__(self, indices: np.ndarray) -> Data:
        """The graph with the pairs at these indices."""
        if len(indices) == len(self):
            return self.batch
        chosen = torch.from_numpy(indices)
        some = copy.copy(self.batch)
        some.whole_graph = False  # a new object per batch, not worth caching
        some.edge_label_index, some.edge_label = some.edge_label_index[:, chosen], some.edge_label[chosen]
        if "negative_index" in some:
            some.negative_index = some.negative_index[:, chosen]
        return some


class SampledPairs(WholeGraphPairs):
    """Batches of pairs to score, with the sampled neighbourhoods of their nodes.

    Args:
        batch: All pairs on the whole graph.
        sampler: Neighbour sampler; seeded per batch with the index of its first pair.
    """

    def __init__(self, batch: Data, *, sampler: KeyedSampler) -> None:
        super().__init__(batch)
        self.sampler = sampler

    @override
    def __getitems__(self, indices: np.ndarray) -> Data:
        """Pairs and their neighbourhoods; `edge_label_index` and `negative_index` are local to the batch."""
        whole = super().__getitems__(indices)
        pairs = [whole[name] for name in ("edge_label_index", "negative_index") if name in whole]
        seeds, local = torch.cat([pair.flatten(1) for pair in pairs], dim=1).unique(return_inverse=True)
        self.sampler.reseed([0, *indices[:1].tolist()])
        batch = part(self.batch, self.sampler.sample_from_nodes(NodeSamplerInput(None, seeds)))
        batch.edge_label = whole.edge_label
        batch.edge_label_index = local[:, : len(indices)]
        if "negative_index" in whole:
            batch.negative_index = local[:, len(indices) :].view(whole.negative_index.shape)
        return batch


class WholeGraphLinks(WholeGraph):
    """Links and as many negatives sampled per batch, each batch with the whole graph.

    A batch's links stay among its message edges: for decoders that look around each pair and take its own edge out.

    Args:
        graph: The graph with the message edges.
        links: int64 (2, P), the training links.
        non_edges: Pairs that negatives are sampled from.
    """

    shareable = True

    def __init__(self, graph: Data, links: Tensor, non_edges: NonEdges) -> None:
        super().__init__(graph)
        self.links = links
        self.non_edges = non_edges

    def __len__(self) -> int:
        return self.links.shape[1]

    @override
    def __getitems__(self, keyed_indices: KeyedIndices) -> Data:  # type: ignore[override]
        """The graph with the links at these indices, then the negatives that belong to the key."""
        indices, key = keyed_indices
        batch = copy.copy(self.graph)
        negatives = _negatives(self.non_edges, len(indices), key)
        batch.edge_label_index = torch.cat([self.links[:, torch.from_numpy(indices)], negatives], dim=1)
        batch.edge_label = torch.cat([torch.ones(len(indices)), torch.zeros(len(indices))])
        batch.whole_graph = False
        return batch


class SampledLinks:
    """Links, the same number of negatives sampled per batch, and the neighbourhoods of both.

    A batch's links are removed from its message edges, in both directions: a link that is also a message edge is easy
    to recognise, in a small neighbourhood more so than among all edges. They count towards the fan-out before they are
    removed.

    Args:
        graph: `x` float32 (N, F), message edges `edge_index` int64 (2, E), `y`, optionally `edge_weight` float32 (E,).
        links: int64 (2, P), links among the message edges.
        non_edges: Pairs that negatives are sampled from.
        sampler: Neighbour sampler.
    """

    def __init__(self, graph: Data, links: Tensor, non_edges: NonEdges, *, sampler: KeyedSampler) -> None:
        self.graph = graph
        self.links = links
        self.non_edges = non_edges
        self.sampler = sampler

    def __len__(self) -> int:
        return self.links.shape[1]

    def __getitems__(self, keyed_indices: KeyedIndices) -> Data:
        """Pairs and their neighbourhoods; `edge_label_index` is local to the batch.

        Args:
            keyed_indices: Indices of links, and the key to sample negatives and neighbours with.
        """
        indices, key = keyed_indices
        links = self.links[:, torch.from_numpy(indices)]
        pairs = torch.cat([links, _negatives(self.non_edges, len(indices), key)], dim=1)
        seeds, edge_label_index = pairs.unique(return_inverse=True)
        self.sampler.reseed(key)
        batch = part(self.graph, self.sampler.sample_from_nodes(NodeSamplerInput(None, seeds)))
        allowed = ~self._joins(links, batch.node_id[batch.edge_index])
        batch.edge_index = batch.edge_index[:, allowed]
        if "edge_weight" in batch:
            batch.edge_weight = batch.edge_weight[allowed]
        batch.edge_label_index = edge_label_index
        batch.edge_label = torch.cat([torch.ones(len(indices)), torch.zeros(len(indices))])
        return batch

    def _joins(self, links: Tensor, edge_index: Tensor) -> Tensor:
        """Whether an edge joins the nodes of one of the links, in either direction, bool (E,)."""
        size = len(self.graph.x)
        low, high = edge_index.amin(0), edge_index.amax(0)
        return torch.isin(low * size + high, links.amin(0) * size + links.amax(0))


def _negatives(non_edges: NonEdges, size: int, key: list[int]) -> Tensor:
    """The negatives of a batch, int64 (2, size)."""
    numbers = np.random.default_rng([_NEGATIVES, *key]).integers(non_edges.count, size=size)
    return non_edges.pairs(torch.from_numpy(numbers))
