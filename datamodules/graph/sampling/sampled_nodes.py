"""How sampled nodes are numbered: in the order in which they arrive, hop by hop."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from typing_extensions import override


class SampledNodes(ABC):
    """Sampled nodes of one type; a node's local number is its row in the batch.

    Attributes:
        count: Nodes so far.
        sizes: Seeds, then new nodes of each closed hop.
        frontier: Nodes of the last closed hop, int64 (S,).
        owner: Number of the seed that each node of the frontier was reached from, int64 (S,).
        frontier_start: Local number of the first node of the frontier.
    """

    def __init__(self, seed: np.ndarray, owner: np.ndarray) -> None:
        self.count = 0
        self.sizes: list[int] = []
        self._nodes: list[np.ndarray] = []
        self._owners: list[np.ndarray] = []
        self._closed = 0
        self._arrive(seed, owner)
        self.close_hop()

    @abstractmethod
    def add(self, nodes: np.ndarray, owner: np.ndarray) -> np.ndarray:
        """Numbers nodes that a hop reached, with those among them that are new.

        Args:
            nodes: Reached nodes, with repetitions, int64 (K,).
            owner: Number of the seed that each was reached from, int64 (K,).

        Returns:
            Local numbers, int64 (K,).
        """

    def close_hop(self) -> None:
        """Makes what arrived since the last closed hop the frontier."""
        self.frontier = np.concatenate([np.empty(0, np.int64), *self._nodes[self._closed :]])
        self.owner = np.concatenate([np.empty(0, np.int64), *self._owners[self._closed :]])
        self._closed = len(self._nodes)
        self.frontier_start = self.count - len(self.frontier)
        self.sizes.append(len(self.frontier))

    def all(self) -> np.ndarray:
        """All nodes by local number, int64 (count,)."""
        return np.concatenate(self._nodes)

    def owners(self) -> np.ndarray:
        """Number of the seed that each node was reached from, int64 (count,)."""
        return np.concatenate(self._owners)

    def _arrive(self, nodes: np.ndarray, owner: np.ndarray) -> None:
        self._nodes.append(nodes)
        self._owners.append(owner)
        self.count += len(nodes)


class JoinedNodes(SampledNodes):
    """All seeds share one subgraph, in which each node stands once; only a repeated seed keeps a row for each time.

    Args:
        seed: Seeds, int64 (S,).
        owner: Not used, as nodes belong to all seeds.
        place: Local number of each node of the type, int64 (N,), -1 for all; `clear` leaves it so again.
    """

    def __init__(self, seed: np.ndarray, owner: np.ndarray, place: np.ndarray) -> None:
        super().__init__(seed, owner[:0])
        self._place = place
        # Backwards, as the last of several assignments stays: edges lead to a repeated seed's first row.
        place[seed[::-1]] = np.arange(len(seed))[::-1]

    @override
    def add(self, nodes: np.ndarray, owner: np.ndarray) -> np.ndarray:
        local = self._place.take(nodes)
        new = local < 0
        arrived = nodes.compress(new)
        # Marks instead of sorting: of a node's several arrivals the one stays that was written last.
        arrival = np.arange(len(arrived))
        self._place[arrived] = arrival
        distinct = arrived.compress(self._place.take(arrived) == arrival)
        self._place[distinct] = np.arange(self.count, self.count + len(distinct))
        local[new] = self._place.take(arrived)
        self._arrive(distinct, owner[:0])
        return local

    def clear(self) -> None:
        """Forgets all nodes."""
        for nodes in self._nodes:
            self._place[nodes] = -1


class DisjointNodes(SampledNodes):
    """Each seed has a subgraph of its own: a node that two seeds reach stands twice.

    Args:
        seed: Seeds, int64 (S,).
        owner: Number of each seed, all different, int64 (S,).
        num_nodes: Nodes of the type.
    """

    def __init__(self, seed: np.ndarray, owner: np.ndarray, num_nodes: int) -> None:
        super().__init__(seed, owner)
        self._num_nodes = num_nodes
        self._keys = owner * num_nodes + seed  # owner and node in one number, by local number

    @override
    def add(self, nodes: np.ndarray, owner: np.ndarray) -> np.ndarray:
        keys = torch.from_numpy(np.concatenate([self._keys, owner * self._num_nodes + nodes]))
        distinct, index = (part.numpy() for part in torch.unique(keys, return_inverse=True))
        local = np.full(len(distinct), -1)
        local[index[: self.count]] = np.arange(self.count)
        new = distinct.compress(local < 0)
        local[local < 0] = np.arange(self.count, self.count + len(new))
        local = local.take(index[self.count :])
        self._keys = np.concatenate([self._keys, new])
        self._arrive(new % self._num_nodes, new // self._num_nodes)
        return local
