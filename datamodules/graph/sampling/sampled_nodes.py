"""Local numbering of sampled nodes, in order of arrival, hop by hop."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from typing_extensions import override


class SampledNodes(ABC):
    """Sampled nodes of one type; a node's local index is its row in the batch.

    Attributes:
        count: Nodes so far.
        sizes: Seeds, then new nodes of each closed hop.
        frontier: Nodes of the last closed hop, int64 (S,).
        owner: Seed index from which each frontier node was reached, int64 (S,).
        frontier_start: Local index of the first frontier node.
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
        """Assigns local indices to the nodes reached by a hop.

        Args:
            nodes: Reached nodes, with repetitions, int64 (K,).
            owner: Seed index from which each was reached, int64 (K,).

        Returns:
            Local indices, int64 (K,).
        """

    def close_hop(self) -> None:
        """Makes the nodes added since the last closed hop the frontier."""
        self.frontier = np.concatenate([np.empty(0, np.int64), *self._nodes[self._closed :]])
        self.owner = np.concatenate([np.empty(0, np.int64), *self._owners[self._closed :]])
        self._closed = len(self._nodes)
        self.frontier_start = self.count - len(self.frontier)
        self.sizes.append(len(self.frontier))

    def all(self) -> np.ndarray:
        """All nodes by local index, int64 (count,)."""
        return np.concatenate(self._nodes)

    def owners(self) -> np.ndarray:
        """Seed index from which each node was reached, int64 (count,)."""
        return np.concatenate(self._owners)

    def _arrive(self, nodes: np.ndarray, owner: np.ndarray) -> None:
        self._nodes.append(nodes)
        self._owners.append(owner)
        self.count += len(nodes)


class JoinedNodes(SampledNodes):
    """One subgraph for all seeds, with each node once; only repeated seeds keep a row for each time.

    Args:
        seed: Seeds, int64 (S,).
        owner: Unused, as nodes belong to all seeds.
        lookup: Lookup table of local indices, int64 (N,), -1 everywhere; `clear` restores that.
    """

    def __init__(self, seed: np.ndarray, owner: np.ndarray, lookup: np.ndarray) -> None:
        super().__init__(seed, owner[:0])
        self._lookup = lookup
        # In reverse, as the last of several assignments wins: edges lead to a repeated seed's first row.
        lookup[seed[::-1]] = np.arange(len(seed))[::-1]

    @override
    def add(self, nodes: np.ndarray, owner: np.ndarray) -> np.ndarray:
        local = self._lookup.take(nodes)
        new = local < 0
        arrived = nodes.compress(new)
        # Marking instead of sorting: of a node's several arrivals the last one written wins.
        arrival = np.arange(len(arrived))
        self._lookup[arrived] = arrival
        distinct = arrived.compress(self._lookup.take(arrived) == arrival)
        self._lookup[distinct] = np.arange(self.count, self.count + len(distinct))
        local[new] = self._lookup.take(arrived)
        self._arrive(distinct, owner[:0])
        return local

    def clear(self) -> None:
        """Resets the lookup table."""
        for nodes in self._nodes:
            self._lookup[nodes] = -1


class DisjointNodes(SampledNodes):
    """A separate subgraph for each seed: a node reached from two seeds has two rows.

    Args:
        seed: Seeds, int64 (S,).
        owner: Index of each seed, all different, int64 (S,).
        num_nodes: Nodes of the type.
    """

    def __init__(self, seed: np.ndarray, owner: np.ndarray, num_nodes: int) -> None:
        super().__init__(seed, owner)
        self._num_nodes = num_nodes
        self._keys = owner * num_nodes + seed  # (owner, node) as one integer, by local index

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
