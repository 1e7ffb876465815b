"""NeighborSampler: neighbour sampling without compiled packages; uses PyG's compiled sampler if installed."""

import copy
from typing import Any, Self

import numpy as np
import torch
import torch_geometric.sampler
import torch_geometric.typing
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.data.storage import BaseStorage
from torch_geometric.sampler import (
    EdgeSamplerInput,
    HeteroSamplerOutput,
    NegativeSampling,
    NodeSamplerInput,
    SamplerOutput,
)
from torch_geometric.typing import EdgeType, NodeType
from typing_extensions import override

from datamodules.graph.sampling.keyed_sampler import Key, KeyedSampler, KeyedStream
from datamodules.graph.sampling.neighbor_walk import FanOut, Walked
from datamodules.graph.sampling.typed_sampler import TypedNeighborSampler
from datamodules.graph.sampling.walk_sampler import WalkSampler

_NODE = "node"
_EDGE = (_NODE, "to", _NODE)


class NeighborSampler(WalkSampler):
    """Samples the neighbourhoods of seeds, against the direction of edges; for PyG's NodeLoader and LinkLoader.

    Source: Hamilton et al., "Inductive representation learning on large graphs", NeurIPS 2017.

    Args:
        edge_index: Sources and targets, int64 (2, E).
        num_nodes: Nodes of the graph.
        fan_out: Edges sampled per node in each hop without replacement, -1 for all.
        edge_time: Time of each edge, (E,): a seed's subgraph has only edges up to the seed's time.
        node_time: Time of each node, (N,): a seed's subgraph has only nodes up to the seed's time. Times imply a
            separate subgraph for each seed.
        disjoint: Sample a separate subgraph for each seed.
        key: See `KeyedSampler.reseed`.

    Raises:
        ValueError: The arguments are inconsistent.
    """

    def __init__(
        self,
        *,
        edge_index: Tensor,
        num_nodes: int,
        fan_out: FanOut,
        edge_time: Tensor | None = None,
        node_time: Tensor | None = None,
        disjoint: bool = False,
        key: Key = 0,
    ) -> None:
        super().__init__(
            edge_index={_EDGE: edge_index},
            num_nodes={_NODE: num_nodes},
            fan_out=fan_out,
            edge_time=None if edge_time is None else {_EDGE: edge_time},
            node_time=None if node_time is None else {_NODE: node_time},
            disjoint=disjoint,
            key=key,
        )

    @override
    def _node_type(self, node_type: NodeType | None) -> NodeType:
        return _NODE

    @override
    def _end_types(self, edge_type: EdgeType | None) -> tuple[NodeType, NodeType]:
        return _NODE, _NODE

    @override
    def _output(self, walked: Walked, owners: dict[NodeType, np.ndarray], metadata: tuple[Any, ...]) -> SamplerOutput:
        return SamplerOutput(
            node=torch.from_numpy(walked.nodes[_NODE]),
            row=torch.from_numpy(walked.rows[_EDGE]),
            col=torch.from_numpy(walked.columns[_EDGE]),
            edge=torch.from_numpy(walked.edges[_EDGE]),
            batch=torch.from_numpy(owners[_NODE]) if self._walk.disjoint else None,
            num_sampled_nodes=walked.num_nodes[_NODE],
            num_sampled_edges=walked.num_edges[_EDGE],
            metadata=metadata,
        )


class CompiledNeighborSampler(KeyedSampler, torch_geometric.sampler.NeighborSampler):
    """PyG's sampler, which needs pyg-lib; its draws from torch's global generator are seeded from a key at each call.

    Args:
        data: The graph.
        fan_out: Edges sampled per node in each hop without replacement, -1 for all.
        time_attr: Name of the times of nodes or edges.
        disjoint: Sample a separate subgraph for each seed.
        key: See `KeyedSampler.reseed`.
    """

    def __init__(
        self, data: Data | HeteroData, *, fan_out: FanOut, time_attr: str | None, disjoint: bool, key: Key
    ) -> None:
        torch_geometric.sampler.NeighborSampler.__init__(
            self, data, num_neighbors=fan_out, time_attr=time_attr, disjoint=disjoint
        )
        self._stream = KeyedStream(key)

    @override
    def reseed(self, key: Key) -> None:
        self._stream.reseed(key)

    @override
    def with_fan_out(self, fan_out: FanOut) -> Self:
        other = copy.copy(self)
        other.num_neighbors = fan_out
        other._stream = KeyedStream(self._stream.key)
        return other

    @override
    def sample_from_nodes(self, inputs: NodeSamplerInput) -> SamplerOutput | HeteroSamplerOutput:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(self._stream.generator().integers(2**63)))
            return torch_geometric.sampler.NeighborSampler.sample_from_nodes(self, inputs)

    @override
    def sample_from_edges(
        self, inputs: EdgeSamplerInput, neg_sampling: NegativeSampling | None = None
    ) -> SamplerOutput | HeteroSamplerOutput:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(self._stream.generator().integers(2**63)))
            return torch_geometric.sampler.NeighborSampler.sample_from_edges(self, inputs, neg_sampling)


def neighbor_sampler(
    data: Data | HeteroData,
    *,
    fan_out: FanOut,
    time_attr: str | None = None,
    disjoint: bool = False,
    key: Key = 0,
) -> KeyedSampler:
    """The fastest available neighbour sampler: PyG's if pyg-lib is installed, else the one of this module.

    Both have the same contract, but sample different neighbours from the same key.

    Args:
        data: The graph.
        fan_out: Edges sampled per node in each hop without replacement, -1 for all; for heterogeneous graphs one list
            for all edge types, or one for each.
        time_attr: Name of the times of nodes or edges; a seed's subgraph then has nothing later than the seed.
        disjoint: Sample a separate subgraph for each seed.
        key: See `KeyedSampler.reseed`.

    Raises:
        ValueError: The graph lacks these times, its edges are stored as `adj_t`, or the arguments are inconsistent.
    """
    if torch_geometric.typing.WITH_PYG_LIB:
        return CompiledNeighborSampler(data, fan_out=fan_out, time_attr=time_attr, disjoint=disjoint, key=key)
    stores = [*data.node_stores, *data.edge_stores]
    if time_attr is not None and not any(time_attr in store for store in stores):
        raise ValueError(f"data.time_attr: neither nodes nor edges have {time_attr!r}; give the name of their times")
    if isinstance(data, HeteroData):
        node_time = {name: data[name][time_attr] for name in data.node_types if time_attr in data[name]}
        edge_time = {name: data[name][time_attr] for name in data.edge_types if time_attr in data[name]}
        return TypedNeighborSampler(
            edge_index={name: _edge_index(data[name], f"edges {name}") for name in data.edge_types},
            num_nodes={name: data[name].num_nodes for name in data.node_types},
            fan_out=fan_out,
            edge_time=edge_time or None,
            node_time=node_time or None,
            disjoint=disjoint,
            key=key,
        )
    times = None if time_attr is None else data[time_attr]
    of_nodes = time_attr is not None and data.is_node_attr(time_attr)
    return NeighborSampler(
        edge_index=_edge_index(data._store, "the graph"),
        num_nodes=data.num_nodes,
        fan_out=fan_out,
        edge_time=None if of_nodes else times,
        node_time=times if of_nodes else None,
        disjoint=disjoint,
        key=key,
    )


def _edge_index(store: BaseStorage, name: str) -> Tensor:
    """`edge_index` of a graph or of one edge type; empty if the graph has none."""
    if "edge_index" in store:
        return store["edge_index"]
    if "adj_t" in store or "adj" in store:
        raise ValueError(f"{name}: has a sparse adjacency and no edge_index; leave out the transform ToSparseTensor")
    if of_edges := [key for key in store if str(key).startswith("edge_") and not str(key).startswith("edge_label")]:
        raise ValueError(f"{name}: has {', '.join(of_edges)} and no edge_index; give sources and targets, int64 (2, E)")
    return torch.empty(2, 0, dtype=torch.int64)
