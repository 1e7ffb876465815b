"""NeighborColumns: incoming edges of each node, sampled without replacement for many nodes at once."""

import numpy as np
import torch
from torch import Tensor


class NeighborColumns:
    """Edges of one type, sorted by target (compressed sparse columns) and, if they have times, by time.

    Args:
        edge_index: Sources and targets, int64 (2, E).
        num_sources: Nodes of the sources' type.
        num_targets: Nodes of the targets' type.
        edge_time: Time of each edge, (E,), integer or floating; None for edges without times.
        name: Name of the edges for messages.

    Attributes:
        source: Source of each sorted edge, int64 (E,).
        edge: Index of each sorted edge in `edge_index`, int64 (E,).

    Raises:
        ValueError: An edge refers to a missing node, or times do not match the edges.
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
        """Samples up to `limit` incoming edges of each node, all subsets of that size with equal probability.

        Args:
            nodes: Targets, int64 (S,).
            limit: Edges sampled per node; -1 for all.
            generator: Source of randomness.
            times: Time of each owner; later edges are excluded. Required if edges have times.
            owner: Index in `times` for each node, int64 (S,).

        Returns:
            Indices among the sorted edges, and the index in `nodes` of each one's target, ascending; both int64 (K,).
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
        """End of each node's admissible edges, which come first, as a node's edges are sorted by time."""
        if self._key is None or self._times is None:
            return self._start.take(nodes + 1)
        assert times is not None
        assert owner is not None
        earlier = np.searchsorted(self._times, times, side="right")
        return np.searchsorted(self._key, nodes * self._stride + earlier.take(owner))


def draw_subsets(population: np.ndarray, size: int, generator: np.random.Generator) -> np.ndarray:
    """Samples one subset of each range(population), all equally likely: Floyd's algorithm, vectorised over rows.

    Source: Bentley and Floyd, "Programming pearls: a sample of brilliance", CACM 30(9), 1987.

    Args:
        population: Sizes to sample from, each > `size`, int64 (R,).
        size: Elements of each subset.
        generator: Source of randomness.

    Returns:
        Distinct elements in each column, int64 (size, R).
    """
    last = population - size + np.arange(size)[:, None]  # (size, R), largest element that step may draw
    # float64: even a hub's neighbours are equally likely to one in 2^53, and a product never reaches its bound.
    samples = (generator.random(last.shape) * (last + 1)).astype(np.int64)
    for step in range(1, size):
        repeated = (samples[:step] == samples[step]).any(axis=0)
        np.copyto(samples[step], last[step], where=repeated)
    return samples


def checked_times(time: Tensor, count: int, name: str) -> Tensor:
    """Times on the CPU, (count,).

    Raises:
        ValueError: The number of times differs from `count`, or one is NaN.
    """
    if time.shape != (count,):
        raise ValueError(f"{name}: {tuple(time.shape)} times for {count}; give one time each")
    if time.is_floating_point() and bool(time.isnan().any()):
        raise ValueError(f"{name}: {int(time.isnan().sum())} are NaN, which is neither before nor after; drop these")
    return time.detach().cpu()
