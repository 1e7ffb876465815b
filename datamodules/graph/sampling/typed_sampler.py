"""TypedNeighborSampler: neighbour sampling in heterogeneous graphs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.sampler import HeteroSamplerOutput
from torch_geometric.typing import EdgeType, NodeType
from typing_extensions import override

from datamodules.graph.sampling.keyed_sampler import Key
from datamodules.graph.sampling.neighbor_walk import FanOut, Walked
from datamodules.graph.sampling.walk_sampler import WalkSampler


class TypedNeighborSampler(WalkSampler):
    """Samples the neighbourhoods of seeds in a heterogeneous graph, against the direction of edges.

    Args:
        edge_index: Sources and targets of each edge type, int64 (2, E).
        num_nodes: Nodes of each type.
        fan_out: Edges sampled per node in each hop without replacement, -1 for all; one list for all edge types, or one
            for each, in which 0 skips the type.
        edge_time: Time of each edge, (E,), of edge types with times: a seed's subgraph has only edges up to the seed's
            time.
        node_time: Time of each node, (N,), of node types with times: a seed's subgraph has only nodes up to the seed's
            time. Times imply a separate subgraph for each seed.
        disjoint: Sample a separate subgraph for each seed.
        key: See `KeyedSampler.reseed`.

    Raises:
        ValueError: The arguments are inconsistent.
    """

    def __init__(
        self,
        *,
        edge_index: Mapping[EdgeType, Tensor],
        num_nodes: Mapping[NodeType, int],
        fan_out: FanOut,
        edge_time: Mapping[EdgeType, Tensor] | None = None,
        node_time: Mapping[NodeType, Tensor] | None = None,
        disjoint: bool = False,
        key: Key = 0,
    ) -> None:
        super().__init__(
            edge_index=edge_index,
            num_nodes=num_nodes,
            fan_out=fan_out,
            edge_time=edge_time,
            node_time=node_time,
            disjoint=disjoint,
            key=key,
        )

    @override
    def _node_type(self, node_type: NodeType | None) -> NodeType:
        if node_type not in self._walk.num_nodes:
            raise ValueError(f"seeds are of type {node_type}, but node types are {list(self._walk.num_nodes)}")
        return node_type

    @override
    def _end_types(self, edge_type: EdgeType | None) -> tuple[NodeType, NodeType]:
        if edge_type is None:
            raise ValueError("links have no type: give one of the edge types")
        return self._node_type(edge_type[0]), self._node_type(edge_type[2])

    @override
    def _output(
        self, walked: Walked, owners: dict[NodeType, np.ndarray], metadata: tuple[Any, ...]
    ) -> HeteroSamplerOutput:
        return HeteroSamplerOutput(
            node=_tensors(walked.nodes),
            row=_tensors(walked.rows),
            col=_tensors(walked.columns),
            edge=_tensors(walked.edges),
            batch=_tensors(owners) if self._walk.disjoint else None,
            num_sampled_nodes=walked.num_nodes,
            num_sampled_edges=walked.num_edges,
            metadata=metadata,
        )


def _tensors(arrays: dict[Any, np.ndarray]) -> dict[Any, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
