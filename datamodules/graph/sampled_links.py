"""Mini-batches of training links, with sampled neighbourhoods of their ends."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.sampler import NodeSamplerInput
from typing_extensions import override

from datamodules.base import TrainBatches
from datamodules.graph.neighbor_sampler import neighbor_sampler
from datamodules.graph.non_edges import NonEdges

KeyedIndices = tuple[np.ndarray, np.ndarray]
"""Key int64 (4,): seed, epoch, batch within the epoch, rank; and indices int64 (B,) of samples."""


class KeyedBatches(TrainBatches):
    """Shuffled batches of indices, each with the key that all draws for it follow from."""

    @override
    def __iter__(self) -> Iterator[KeyedIndices]:  # type: ignore[override]
        epoch, first = self.position()
        for index, indices in enumerate(super().__iter__(), start=first):
            yield np.array([self.seed, epoch, index, self.rank]), indices


class SampledLinks:
    """Links, as many negatives drawn for each batch, and what the nodes of both can see within some hops.

    A batch's own links are taken out of its message edges, in both directions: a link that messages went along would
    give itself away, and in a small neighbourhood more so than among all edges. They count towards `fan_out` before
    they are taken out.

    Args:
        graph: `x` float32 (N, F), message edges `edge_index` int64 (2, E), maybe `edge_weight` float32 (E,).
        links: int64 (2, P), links among the message edges.
        non_edges: What negatives are drawn from.
        fan_out: Edges drawn per node in each hop, -1 for all.
    """

    def __init__(self, graph: Data, links: Tensor, non_edges: NonEdges, *, fan_out: Sequence[int]) -> None:
        self.graph = graph
        self.links = links
        self.non_edges = non_edges
        edges = Data(edge_index=graph.edge_index, num_nodes=len(graph.x))
        self.sampler = neighbor_sampler(edges, fan_out=list(fan_out))

    def __len__(self) -> int:
        return self.links.shape[1]

    def __getitems__(self, batch: KeyedIndices) -> Data:
        """Pairs and the nodes around them; `edge_label_index` counts the batch's own nodes."""
        key, indices = batch
        links = self.links[:, torch.from_numpy(indices)]
        numbers = np.random.default_rng(key).integers(self.non_edges.count, size=len(indices))
        pairs = torch.cat([links, self.non_edges.pairs(torch.from_numpy(numbers))], dim=1)
        seeds, edge_label_index = pairs.unique(return_inverse=True)
        self.sampler.reseed(key.tolist())
        sampled = self.sampler.sample_from_nodes(NodeSamplerInput(input_id=None, node=seeds))
        edge_index = torch.stack([sampled.row, sampled.col])
        allowed = ~self._joins(links, sampled.node[edge_index])
        weight = {"edge_weight": self.graph.edge_weight[sampled.edge[allowed]]} if "edge_weight" in self.graph else {}
        return Data(
            x=self.graph.x[sampled.node],
            edge_index=edge_index[:, allowed],
            edge_label_index=edge_label_index,
            edge_label=torch.cat([torch.ones(len(indices)), torch.zeros(len(indices))]),
            node_id=sampled.node,
            **weight,
        )

    def _joins(self, links: Tensor, edge_index: Tensor) -> Tensor:
        """Bool (E,): whether an edge joins the nodes of one of the links, in either direction."""
        size = len(self.graph.x)
        low, high = edge_index.amin(0), edge_index.amax(0)
        return torch.isin(low * size + high, links.amin(0) * size + links.amax(0))
