"""NodeFeatures: features that nodes get from their place in the graph, beside or instead of those of their tables."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from typing_extensions import override


class NodeFeatures(ABC):
    """Features of nodes that are computed from the graph alone.

    Attributes:
        reads_edges: Whether they depend on the edges. A data module that holds links out, or hides later ones, gives
            only those that a model may see.
        of_one_graph: Whether they mean something in one graph alone, and cannot be compared between graphs of a set.
    """

    reads_edges: bool = True
    of_one_graph: bool = False

    @abstractmethod
    def compute(self, edge_index: Tensor, *, num_nodes: int) -> Tensor:
        """Computes the features.

        Args:
            edge_index: int64 (2, E), from source to target; those of undirected graphs in both directions.
            num_nodes: Number of nodes, N.

        Returns:
            float32 (N, F), dense or `torch.sparse_csr`.
        """

    @abstractmethod
    def describe(self) -> str:
        """Describes the features in words."""


class ConstantFeature(NodeFeatures):
    """The number 1 for every node: what encoders then tell apart is the structure around it."""

    reads_edges = False

    @override
    def compute(self, edge_index: Tensor, *, num_nodes: int) -> Tensor:
        return torch.ones(num_nodes, 1)

    @override
    def describe(self) -> str:
        return "a constant"


class DegreeFeatures(NodeFeatures):
    """The number of edges that arrive at a node.

    Args:
        max_degree: One-hot encode degrees from 0 on, larger ones as this one; None for one column, log(1 + degree).
    """

    def __init__(self, *, max_degree: int | None = None) -> None:
        if max_degree is not None and max_degree < 1:
            raise ValueError(f"data.features.max_degree: {max_degree} given, at least 1 is needed, or null")
        self.max_degree = max_degree

    @override
    def compute(self, edge_index: Tensor, *, num_nodes: int) -> Tensor:
        degree = torch.bincount(edge_index[1], minlength=num_nodes)
        if self.max_degree is None:
            return degree.float().log1p()[:, None]
        classes = degree.clamp(max=self.max_degree)
        return torch.nn.functional.one_hot(classes, self.max_degree + 1).float()

    @override
    def describe(self) -> str:
        return "degrees" if self.max_degree is None else f"degrees up to {self.max_degree}, one-hot"


class IdentityFeatures(NodeFeatures):
    """A column per node, 1 for the node itself: the first linear layer of an encoder is then a vector per node."""

    reads_edges = False
    of_one_graph = True

    @override
    def compute(self, edge_index: Tensor, *, num_nodes: int) -> Tensor:
        return torch.sparse_csr_tensor(
            torch.arange(num_nodes + 1),
            torch.arange(num_nodes),
            torch.ones(num_nodes),
            (num_nodes, num_nodes),
            check_invariants=False,
        )

    @override
    def describe(self) -> str:
        return "a column per node"
