"""Incoming edges of each node, and draws among them without replacement for many nodes at once."""

import numpy as np
import torch
from torch import Tensor


class NeighborColumns:
    """Edges of one type, sorted by target (compressed sparse columns) and, where they have times, by time.

    Args:
        edge_index: Sources and targets, int64 (2, E).
        num_sources: Nodes of the sources' type.
        num_targets: Nodes of the targets' type.
        edge_time: Time of each edge, (E,) of an integer or floating type; None where edges are timeless.
        name: What messages call the edges.

    Attributes:
        source: Source of each sorted edge, int64 (E,).
        edge: Number of each sorted edge in `edge_index`, int64 (E,).

    Raises:
        ValueError: An edge joins a node that does not exist, or times do not belong to the edges.
    """

    def __init__(
        self,
        *,
        edge_index: Tensor,
        num_sources: int,
        num_targets: int,
        edge_time: Tensor | None = None,
        name: str = "edge_index",
    ) -> None:
        is_number = edge_index.is_floating_point() and edge_index.numel() > 0  # torch.empty(2, 0) is a float tensor
        if edge_index.dim() != 2 or len(edge_index) != 2 or is_number:
            raise ValueError(f"{name}: must be int64 (2, E), not {edge_index.dtype} {tuple(edge_index.shape)}")
        source, target = edge_index.to("cpu", torch.int64)
        for nodes, count, end in ((source, num_sources, "sources"), (target, num_targets, "targets")):
            if len(nodes) and (int(nodes.min()) < 0 or int(nodes.max()) >= count):
                given = f"{int(nodes.min())} to {int(nodes.max())}"
                raise ValueError(f"{name}: {end} are {given}, but nodes are 0 to {count - 1}")
        key = target
        self._times: np.ndarray | None = None
        self._stride = 1
        if edge_time is not None:
            edge_time = checked_times(edge_time, len(source), f"times of {name}")
            times, rank = torch.unique(edge_time, return_inverse=True)
            self._times = times.numpy()
            self._stride = len(times)
            key = target * self._stride + rank
        key, order = torch.sort(key, stable=True)
        self._key = None if edge_time is None else key.numpy()
        self.source = source[order].numpy()
        self.edge = order.numpy()
        self._start = np.zeros(num_targets + 1, dtype=np.int64)
        np.cumsum(torch.bincount(target, minlength=num_targets).numpy(), out=self._start[1:])

    def sample(
        self,
        nodes: np.ndarray,
        limit: int,
        generator: np.random.Generator,
        *,
        times: np.ndarray | None = None,
        owner: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draws up to `limit` incoming edges of each node, each set of that size with the same probability.

        Args:
            nodes: Targets, int64 (S,).
            limit: Edges drawn per node; -1 takes all.
            generator: Where the randomness comes from.
            times: Time of each owner, after which edges do not count; needed where edges have times.
            owner: Index in `times` for each node, int64 (S,).

        Returns:
            Positions among the sorted edges, and the index in `nodes` of each one's target, ascending; both int64 (K,).
        """
        first = self._start.take(nodes)
        degree = self._end(nodes, times, owner) - first
        taken = degree if limit < 0 else np.minimum(degree, limit)
        begin = taken.cumsum() - taken
        index = np.repeat(np.arange(len(nodes)), taken)  # (K,)
        position = np.repeat(first - begin, taken)  # (K,)
        position += np.arange(len(position))
        if limit >= 0:
            rich = np.flatnonzero(degree > limit)
            slots = begin.take(rich) + np.arange(limit)[:, None]  # (limit, R)
            position[slots] = first.take(rich) + draw_subsets(degree.take(rich), limit, generator)
        return position, index

    def _end(self, nodes: np.ndarray, times: np.ndarray | None, owner: np.ndarray | None) -> np.ndarray:
        """Where the admissible edges of each node end: they come first, as a node's edges are sorted by time."""
        if self._key is None or self._times is None:
            return self._start.take(nodes + 1)
        assert times is not None
        assert owner is not None
        earlier = np.searchsorted(self._times, times, side="right")
        return np.searchsorted(self._key, nodes * self._stride + earlier.take(owner))


def draw_subsets(population: np.ndarray, size: int, generator: np.random.Generator) -> np.ndarray:
    """Draws one subset of each range(population), every one equally likely: Floyd's algorithm, all rows in step.

    Source: Bentley and Floyd, "Programming pearls: a sample of brilliance", CACM 30(9), 1987.

    Args:
        population: Sizes to draw from, each > `size`, int64 (R,).
        size: Elements of each subset.
        generator: Where the randomness comes from.

    Returns:
        Distinct elements in each column, int64 (size, R).
    """
    last = population - size + np.arange(size)[:, None]  # (size, R), largest element that step may draw
    # float64: even a hub's neighbours are equally likely to one in 2^53, and a product never reaches its bound.
    drawn = (generator.random(last.shape) * (last + 1)).astype(np.int64)
    for step in range(1, size):
        repeated = (drawn[:step] == drawn[step]).any(axis=0)
        np.copyto(drawn[step], last[step], where=repeated)
    return drawn


def checked_times(time: Tensor, count: int, name: str) -> Tensor:
    """Times on the CPU, (count,).

    Raises:
        ValueError: Another number of times, or NaN among them.
    """
    if time.shape != (count,):
        raise ValueError(f"{name}: {tuple(time.shape)} times for {count}; give one time each")
    if time.is_floating_point() and bool(time.isnan().any()):
        raise ValueError(f"{name}: {int(time.isnan().sum())} are NaN, which is neither before nor after; drop these")
    return time.detach().cpu()
