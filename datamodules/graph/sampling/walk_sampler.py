"""WalkSampler, the base of samplers for homogeneous and heterogeneous graphs: from PyG's seeds to a walk."""

import copy
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
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
from datamodules.graph.sampling.link_seeds import NodePool, draw_link_seeds
from datamodules.graph.sampling.neighbor_columns import NeighborColumns, checked_times
from datamodules.graph.sampling.neighbor_walk import FanOut, NeighborWalk, Walked


class WalkSampler(KeyedSampler):
    """Samples with a `NeighborWalk`; arguments as in `TypedNeighborSampler`."""

    def __init__(
        self,
        *,
        edge_index: Mapping[EdgeType, Tensor],
        num_nodes: Mapping[NodeType, int],
        fan_out: FanOut,
        edge_time: Mapping[EdgeType, Tensor] | None,
        node_time: Mapping[NodeType, Tensor] | None,
        disjoint: bool,
        key: Key,
    ) -> None:
        super().__init__()
        if edge_time is not None and node_time is not None:
            raise ValueError("edge_time and node_time: give times of edges or of nodes, not both")
        self._stream = KeyedStream(key)
        self._pools = {name: NodePool(count, (node_time or {}).get(name)) for name, count in num_nodes.items()}
        self._time_dtype = _time_dtype({**(edge_time or {}), **(node_time or {})})
        self._node_time = dict(node_time or {})
        columns = {}
        for name, edges in edge_index.items():
            time = (edge_time or {}).get(name)
            sources = num_nodes[name[0]]
            if node_time is not None and name[0] in node_time and edges.numel():
                # Admissibility depends on the neighbour, so its time becomes that of its edges.
                known = checked_times(node_time[name[0]], sources, "times of nodes")
                time = known[edges[0].cpu().clamp(0, sources - 1)]  # ends out of range raise below
            label = "edge_index" if len(edge_index) == 1 else f"edge_index of {name}"
            columns[name] = NeighborColumns(
                edge_index=edges, num_sources=sources, num_targets=num_nodes[name[2]], edge_time=time, name=label
            )
        disjoint = disjoint or self._time_dtype is not None
        self._walk = NeighborWalk(columns=columns, num_nodes=dict(num_nodes), fan_out=fan_out, disjoint=disjoint)

    @override
    def reseed(self, key: Key) -> None:
        self._stream.reseed(key)

    @property
    def fan_out(self) -> dict[EdgeType, list[int]]:
        """Edges sampled per node in each hop, by edge type; PyG's data modules change it for evaluation."""
        return self._walk.fan_out

    @fan_out.setter
    def fan_out(self, fan_out: FanOut) -> None:
        walk = self._walk
        self._walk = NeighborWalk(
            columns=walk.columns, num_nodes=walk.num_nodes, fan_out=fan_out, disjoint=walk.disjoint
        )

    @override
    def with_fan_out(self, fan_out: FanOut) -> Self:
        other = copy.copy(self)
        other.fan_out = fan_out  # type: ignore[assignment]  # a setter may take more than the getter gives
        other._stream = KeyedStream(self._stream.key)
        return other

    @override
    def sample_from_nodes(self, index: NodeSamplerInput, **kwargs: Any) -> HeteroSamplerOutput | SamplerOutput:
        """Samples around nodes.

        Args:
            index: Seeds, with their times if the sampler has times; the default are the seeds' node times.
            kwargs: Not supported.

        Returns:
            Seeds first, in order, a repeated one in a row for each time; then the nodes of each hop.

        Raises:
            ValueError: Seeds do not exist, or times are missing, superfluous or of another dtype.
        """
        seed = index.node.to(torch.int64).numpy()
        name = self._node_type(index.input_type)
        self._check_seeds(name, seed)
        own_time = self._node_time[name][index.node.cpu()] if index.time is None and name in self._node_time else None
        times = self._checked_time(index.time if own_time is None else own_time, len(seed))
        walked = self._sample({name: seed}, times, self._stream.generator())
        return self._output(walked, walked.owners, (index.input_id, index.time))

    @override
    def sample_from_edges(
        self, index: EdgeSamplerInput, neg_sampling: NegativeSampling | None = None
    ) -> HeteroSamplerOutput | SamplerOutput:
        """Samples around the ends of links and of negatives, see `LinkSeeds`.

        Args:
            index: Positive links, with their times if the sampler has times.
            neg_sampling: Number and kind of negatives.

        Returns:
            Each distinct end first, or every end in disjoint subgraphs; then the nodes of each hop.

        Raises:
            ValueError: As in `sample_from_nodes`, or negatives cannot be sampled.
        """
        self._checked_time(index.time, len(index.row))
        generator = self._stream.generator()
        source_type, target_type = self._end_types(index.input_type)
        links = draw_link_seeds(index, neg_sampling, self._pools[source_type], self._pools[target_type], generator)
        ends, count = np.concatenate([links.source, links.target]), len(links.source)
        times = None
        if links.source_time is not None and links.target_time is not None:
            times = np.concatenate([links.source_time, links.target_time])
        if source_type == target_type:
            seeds, local = self._merged(ends)
            by_type = {source_type: seeds}
        else:
            (source, source_local), (target, target_local) = self._merged(links.source), self._merged(links.target)
            by_type = {source_type: source, target_type: target}
            local = np.concatenate([source_local, target_local])
        walked = self._sample(by_type, times, generator)
        numbers = (np.arange(size) % max(links.num_positive, 1) for size in (count, len(links.target)))
        link_of = np.concatenate(list(numbers))  # link index of each end
        owners = {name: link_of.take(owner) for name, owner in walked.owners.items()} if self._walk.disjoint else {}
        source_time = None if links.source_time is None else torch.from_numpy(links.source_time)
        metadata = (index.input_id, *links.positions(local[:count], local[count:]), source_time)
        return self._output(walked, owners, metadata)

    @abstractmethod
    def _node_type(self, node_type: NodeType | None) -> NodeType: ...

    @abstractmethod
    def _end_types(self, edge_type: EdgeType | None) -> tuple[NodeType, NodeType]: ...

    @abstractmethod
    def _output(
        self, walked: Walked, owners: dict[NodeType, np.ndarray], metadata: tuple[Any, ...]
    ) -> HeteroSamplerOutput | SamplerOutput: ...

    def _merged(self, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Seeds, and the index of each end among them."""
        if self._walk.disjoint:
            return ends, np.arange(len(ends))
        distinct, local = np.unique(ends, return_inverse=True)
        return distinct, local

    def _sample(
        self, seeds: dict[NodeType, np.ndarray], times: np.ndarray | None, generator: np.random.Generator
    ) -> Walked:
        for name, seed in seeds.items():
            self._check_seeds(name, seed)
        return self._walk(seeds, times, generator)

    def _check_seeds(self, name: NodeType, seed: np.ndarray) -> None:
        count = self._walk.num_nodes[name]
        if len(seed) and (seed.min() < 0 or seed.max() >= count):
            raise ValueError(f"seeds are {seed.min()} to {seed.max()}, but nodes are 0 to {count - 1}")

    def _checked_time(self, time: Tensor | None, count: int) -> np.ndarray | None:
        if time is None:
            if self._time_dtype is not None:
                raise ValueError("seeds have no time, but the graph does: give input_time or edge_label_time")
            return None
        if self._time_dtype is None:
            raise ValueError("seeds have times, but the graph has none: give data.time_attr, or no times")
        if time.dtype != self._time_dtype:
            # Rounded to a coarser dtype, a time might move past an edge that it precedes.
            raise ValueError(f"times of seeds are {time.dtype}, those of the graph {self._time_dtype}: use one type")
        return checked_times(time, count, "times of seeds").numpy()


def _time_dtype(times: Mapping[Any, Tensor]) -> torch.dtype | None:
    """The common dtype of all times."""
    dtypes = {name: time.dtype for name, time in times.items()}
    if len(set(dtypes.values())) > 1:
        raise ValueError(f"times are of different types, {dtypes}: use one type")
    return next(iter(dtypes.values()), None)
