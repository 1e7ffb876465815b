"""Neighborhoods: batches of nodes with their sampled neighbourhoods."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.sampler import HeteroSamplerOutput, NodeSamplerInput, SamplerOutput
from typing_extensions import override

from datamodules.base import TrainBatches
from datamodules.graph.sampling.keyed_sampler import KeyedSampler
from datamodules.graph.sources.features import feature_rows

KeyedIndices = tuple[np.ndarray, list[int]]

# The first number is the key's purpose: numpy pads short keys with zeros, so [3] and [3, 0] would be the same stream.
_TRAINING, _EVALUATION = 1, 2


class KeyedBatches(TrainBatches):
    """Pairs of indices and a key (1, seed, epoch, batch within the epoch, rank); arguments as in `TrainBatches`.

    The key determines what is sampled for a batch, so a resumed run samples the same as an uninterrupted one.
    """

    @override
    def __iter__(self) -> Iterator[KeyedIndices]:  # type: ignore[override]
        epoch, first = self.position()
        for index, indices in enumerate(super().__iter__(), start=first):
            yield indices, [_TRAINING, self.seed, epoch, index, self.rank]


class Neighborhoods:
    """Dataset of nodes, each with its sampled neighbourhood.

    Args:
        graph: The whole graph.
        nodes: Seed nodes, int64 (S,); of the target type in heterogeneous graphs.
        sampler: Neighbour sampler.
        time: Time of each node of the graph, (N,), if seeds have times.
    """

    def __init__(
        self, graph: Data | HeteroData, *, nodes: Tensor, sampler: KeyedSampler, time: Tensor | None = None
    ) -> None:
        self.graph = graph
        self.nodes = nodes
        self.sampler = sampler
        self.time = time

    def __len__(self) -> int:
        return len(self.nodes)

    def __getitems__(self, keyed_indices: KeyedIndices | np.ndarray) -> Data | HeteroData:
        """Samples the neighbourhoods of a batch of seed nodes, which come first.

        Args:
            keyed_indices: Indices into `nodes`, and the key to sample neighbours with; without a key it is derived from
                the first index.
        """
        indices, key = (
            keyed_indices
            if isinstance(keyed_indices, tuple)
            else (keyed_indices, [_EVALUATION, *keyed_indices[:1].tolist()])
        )
        seeds = self.nodes[torch.from_numpy(indices)]
        self.sampler.reseed(key)
        input_type = self.graph.target_type if isinstance(self.graph, HeteroData) else None
        time = None if self.time is None else self.time[seeds]
        sampled = self.sampler.sample_from_nodes(NodeSamplerInput(None, seeds, time, input_type))
        batch = typed_part(self.graph, sampled) if isinstance(self.graph, HeteroData) else part(self.graph, sampled)
        batch.target_index = torch.arange(len(seeds))
        return batch


def part(graph: Data, sampled: SamplerOutput) -> Data:
    """Extracts a sampled subgraph.

    Args:
        graph: The whole graph.
        sampled: Its nodes and edges.
    """
    batch = Data(
        x=feature_rows(graph.x, sampled.node),
        edge_index=torch.stack([sampled.row, sampled.col]),
        y=graph.y[sampled.node],
        node_id=sampled.node,
    )
    if "edge_weight" in graph:
        batch.edge_weight = graph.edge_weight[sampled.edge]
    return batch


def typed_part(graph: HeteroData, sampled: HeteroSamplerOutput) -> HeteroData:
    """Extracts a sampled subgraph of a heterogeneous graph; `y` and `node_id` are those of its target type."""
    batch = HeteroData()
    for name in graph.node_types:
        batch[name].x = feature_rows(graph[name].x, sampled.node[name])
    for name in graph.edge_types:
        batch[name].edge_index = torch.stack([sampled.row[name], sampled.col[name]])
    batch.node_id = sampled.node[graph.target_type]
    batch.y = graph[graph.target_type].y[batch.node_id]
    return batch
