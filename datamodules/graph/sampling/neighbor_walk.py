"""NeighborWalk: expansion of seeds along sampled incoming edges, hop by hop, over several node and edge types."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch_geometric.typing import EdgeType, NodeType

from datamodules.graph.sampling.neighbor_columns import NeighborColumns
from datamodules.graph.sampling.sampled_nodes import DisjointNodes, JoinedNodes, SampledNodes

FanOut = Sequence[int] | Mapping[EdgeType, Sequence[int]]


@dataclass(frozen=True)
class Walked:
    """A sampled subgraph; nodes and edges are in the order of their hops, seeds first.

    Attributes:
        nodes: Nodes of each type, int64 (N,).
        owners: Seed index (across types) from which each node was reached; empty for joined subgraphs.
        num_nodes: Seeds, then new nodes of each hop.
        rows: Local index of each edge's source, int64 (E,).
        columns: Local index of each edge's target, int64 (E,), ascending within a hop.
        edges: Index of each edge in the graph, int64 (E,).
        num_edges: Edges of each hop.
    """

    nodes: dict[NodeType, np.ndarray]
    owners: dict[NodeType, np.ndarray]
    num_nodes: dict[NodeType, list[int]]
    rows: dict[EdgeType, np.ndarray]
    columns: dict[EdgeType, np.ndarray]
    edges: dict[EdgeType, np.ndarray]
    num_edges: dict[EdgeType, list[int]]


class NeighborWalk:
    """Samples subgraphs around seeds.

    Args:
        columns: Incoming edges of each type.
        num_nodes: Nodes of each type.
        fan_out: Edges sampled per node in each hop, -1 for all; one list for all edge types, or one for each.
        disjoint: Sample a separate subgraph for each seed.

    Raises:
        ValueError: The fan-out is invalid.
    """

    def __init__(
        self,
        *,
        columns: dict[EdgeType, NeighborColumns],
        num_nodes: dict[NodeType, int],
        fan_out: FanOut,
        disjoint: bool,
    ) -> None:
        self.columns = columns
        self.num_nodes = num_nodes
        self.fan_out = checked_fan_out(fan_out, list(columns))
        self.disjoint = disjoint
        self._places = {} if disjoint else {name: np.full(count, -1) for name, count in num_nodes.items()}

    def __call__(
        self, seeds: dict[NodeType, np.ndarray], times: np.ndarray | None, generator: np.random.Generator
    ) -> Walked:
        """Samples one subgraph.

        Args:
            seeds: Seeds of each type, int64; types without seeds may be omitted.
            times: Time of each seed, in the order of `seeds`; None for edges without times.
            generator: Source of randomness.
        """
        nodes = self._numbered(seeds)
        try:
            return self._walk(nodes, times, generator)
        finally:
            for table in nodes.values():
                if isinstance(table, JoinedNodes):
                    table.clear()

    def _numbered(self, seeds: dict[NodeType, np.ndarray]) -> dict[NodeType, SampledNodes]:
        tables: dict[NodeType, SampledNodes] = {}
        first = 0
        for name in [*seeds, *(name for name in self.num_nodes if name not in seeds)]:
            seed = seeds.get(name, np.empty(0, np.int64))
            owner = np.arange(first, first + len(seed))
            first += len(seed)
            if self.disjoint:
                tables[name] = DisjointNodes(seed, owner, self.num_nodes[name])
            else:
                tables[name] = JoinedNodes(seed, owner, self._places[name])
        return tables

    def _walk(
        self, nodes: dict[NodeType, SampledNodes], times: np.ndarray | None, generator: np.random.Generator
    ) -> Walked:
        sampled: dict[EdgeType, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {name: [] for name in self.columns}
        for hop in range(len(next(iter(self.fan_out.values()), ()))):
            for name, columns in self.columns.items():
                source, target = nodes[name[0]], nodes[name[2]]
                limit = self.fan_out[name][hop]
                position, index = columns.sample(target.frontier, limit, generator, times=times, owner=target.owner)
                owner = target.owner.take(index) if self.disjoint else target.owner
                row = source.add(columns.source.take(position), owner)
                sampled[name].append((row, index + target.frontier_start, columns.edge.take(position)))
            for table in nodes.values():
                table.close_hop()
        rows, ends, edges = (
            {name: np.concatenate([hop[part] for hop in hops]) for name, hops in sampled.items()} for part in range(3)
        )
        return Walked(
            nodes={name: nodes[name].all() for name in self.num_nodes},
            owners={name: nodes[name].owners() for name in self.num_nodes},
            num_nodes={name: nodes[name].sizes for name in self.num_nodes},
            rows=rows,
            columns=ends,
            edges=edges,
            num_edges={name: [len(hop[0]) for hop in hops] for name, hops in sampled.items()},
        )


def checked_fan_out(fan_out: FanOut, edge_types: list[EdgeType]) -> dict[EdgeType, list[int]]:
    """Validated fan-out of each edge type.

    Raises:
        ValueError: There is no hop, a hop samples nothing, a number is negative but not -1, or edge types do not match.
    """
    if not isinstance(fan_out, Mapping):
        by_type = {name: list(fan_out) for name in edge_types}
        hops = list(fan_out)
    else:
        by_type = {name: list(limits) for name, limits in fan_out.items()}
        if set(by_type) != set(edge_types):
            raise ValueError(f"data.fan_out: given for {sorted(by_type)}, but edge types are {sorted(edge_types)}")
        if len({len(limits) for limits in by_type.values()}) != 1:
            raise ValueError(
                f"data.fan_out: edge types have different numbers of hops ({by_type}); write 0 to skip one"
            )
        # An edge type may be skipped in a hop, but not all of them.
        hops = [max(hop, key=abs) for hop in zip(*by_type.values(), strict=True)]
    if not hops:
        raise ValueError("data.fan_out: empty; give the number of neighbours of each hop, such as [15, 10]")
    if 0 in hops:
        raise ValueError(f"data.fan_out: hop {hops.index(0) + 1} of {fan_out} samples nothing; leave it out")
    lowest = min(limit for limits in [*by_type.values(), hops] for limit in limits)
    if lowest < -1:
        raise ValueError(f"data.fan_out: {lowest} in {fan_out}; give positive numbers, or -1 for all neighbours")
    return by_type
