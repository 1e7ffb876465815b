"""RandomWalkFeatures: structural encodings, the probabilities that random walks return to where they started."""

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor
from typing_extensions import override

from datamodules.graph.node_features import NodeFeatures

_BLOCK = 256
"""Nodes whose walks are followed at a time."""


class RandomWalkFeatures(NodeFeatures):
    """The probability that a random walk is back at its node after 1, 2, ... steps: which cycles pass through it.

    Source: Dwivedi et al., "Graph neural networks with learnable structural and positional representations", ICLR 2022:
    the diagonals of the powers of the random walk matrix. Columns are standardised over all nodes with edges; nodes
    without edges get zeros. The direction of edges is ignored.

    Args:
        steps: Number of steps, one column each.
        max_nodes: Larger connected parts of a graph are refused: time grows with their nodes times their edges.
    """

    def __init__(self, *, steps: int = 16, max_nodes: int = 20_000) -> None:
        if steps < 1:
            raise ValueError(f"data.features.steps: {steps} given, at least 1 is needed")
        self.steps = steps
        self.max_nodes = max_nodes

    @override
    def compute(self, edge_index: Tensor, *, num_nodes: int) -> Tensor:
        source, target = edge_index.numpy()
        ends = np.concatenate([source, target]), np.concatenate([target, source])
        adjacency = csr_array((np.ones(2 * len(source), dtype=np.float32), ends), shape=(num_nodes, num_nodes))
        adjacency.data[:] = 1  # repeated edges were added up
        degree = adjacency.sum(axis=1)
        root = csr_array((1 / np.sqrt(np.maximum(degree, 1)), (np.arange(num_nodes),) * 2), shape=adjacency.shape)
        walk = csr_array(root @ adjacency @ root)  # symmetric, with the same diagonals of powers as D^-1 A
        returns = np.zeros((num_nodes, self.steps))
        _, part = connected_components(adjacency, directed=False)
        order = np.argsort(part, kind="stable")
        walk = walk[order][:, order]
        for start, end in _ranges(part[order]):
            if end - start > self.max_nodes:
                raise ValueError(
                    f"data.features: RandomWalkFeatures follows walks from every node, and a connected part of the "
                    f"graph has {end - start:,} nodes, max_nodes is {self.max_nodes:,}; raise it, or take "
                    "DegreeFeatures"
                )
            if end - start > 1 or degree[order[start]]:
                returns[order[start:end]] = _returns(walk[start:end, start:end], self.steps)
        linked = degree > 0
        if linked.any():
            mean, deviation = returns[linked].mean(0), returns[linked].std(0)
            returns[linked] = (returns[linked] - mean) / np.where(deviation > 1e-6, deviation, 1)
        return torch.from_numpy(returns).float()

    @override
    def describe(self) -> str:
        return f"returns of random walks within {self.steps} steps"


def _ranges(part: np.ndarray) -> list[tuple[int, int]]:
    """Start and end of each run of equal numbers."""
    starts = np.flatnonzero(np.r_[True, part[1:] != part[:-1]]) if len(part) else np.zeros(0, dtype=int)
    return list(zip(starts.tolist(), [*starts[1:].tolist(), len(part)], strict=True)) if len(part) else []


def _returns(walk: csr_array, steps: int) -> np.ndarray:
    """Diagonals of the powers 1 to `steps` of a symmetric matrix, (N, steps)."""
    size = walk.shape[0]
    found = np.zeros((size, steps))
    for first in range(0, size, _BLOCK):
        chosen = np.arange(first, min(first + _BLOCK, size))
        half = np.zeros((size, len(chosen)), dtype=np.float32)
        half[chosen, np.arange(len(chosen))] = 1
        # Of a symmetric matrix, entry (i, i) of the power a + b is the product of column i of the powers a and b.
        for step in range(1, steps + 1, 2):
            after = walk @ half
            found[chosen, step - 1] = (half * after).sum(0)
            if step < steps:
                found[chosen, step] = (after * after).sum(0)
            half = after
    return found
