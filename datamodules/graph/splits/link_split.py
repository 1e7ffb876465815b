"""LinkSplit: protocols that split the links of a graph, and choose negatives for evaluation."""

import math
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from typing_extensions import override

from datamodules.graph.splits.non_edges import NonEdges
from datamodules.graph.splits.random_split import percentages


@dataclass(frozen=True)
class Links:
    """Positive and negative pairs of one part.

    Attributes:
        positive: int64 (2, P), the links, each once.
        negative: int64 (2, P) non-edges for all links together; or int32 (2, P, K), K non-edges for each link.
    """

    positive: Tensor
    negative: Tensor


@dataclass(frozen=True)
class SplitLinks:
    """The links of a graph by part.

    Attributes:
        message_mask: bool (E,), the graph's edges used for message passing in every part: none joins a pair of `val`
            or `test`, in either direction.
        train: int64 (2, P), the links among them, each once and without self-loops.
        val: Validation links.
        test: Test links.
    """

    message_mask: Tensor
    train: Tensor
    val: Links
    test: Links


@dataclass(frozen=True)
class Positives:
    """Held-out links that need negatives.

    Attributes:
        message_mask: bool (E,), see `SplitLinks`.
        val: int64 (2, P), validation links.
        test: int64 (2, P), test links.
    """

    message_mask: Tensor
    val: Tensor
    test: Tensor


class LinkSplit(ABC):
    """Holds out fractions of an undirected graph's links, uniformly, like Kipf & Welling (2016) for the GAE.

    Held-out links are never message edges, not even in the test. Self-loops remain message edges and are never links to
    predict.

    Args:
        val: Fraction of validation links.
        test: Fraction of test links.
        seed: Random seed; None for the run's `seed_everything`, so that runs with different seeds have different
            splits.
    """

    def __init__(self, *, val: float = 0.05, test: float = 0.10, seed: int | None = 0) -> None:
        if not (val > 0 and test > 0 and val + test < 1):
            raise ValueError(
                f"data.split: val {val:g} and test {test:g} given; both are shares above 0 that leave some links "
                "to train on, e.g. 0.05 and 0.1"
            )
        if seed is not None and seed < 0:
            raise ValueError(f"data.split.seed: {seed} given, at least 0 is needed, or null for the run's seed")
        self.val = val
        self.test = test
        self.seed = seed

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the protocol, under which results are compared."""

    @abstractmethod
    def describe(self) -> str:
        """Describes the protocol in words."""

    @abstractmethod
    def negatives(self, graph: Data, positives: Positives, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Chooses the negatives of validation and test, see `Links`.

        Args:
            graph: The whole graph.
            positives: The held-out links.
            generator: Source of randomness.
        """

    def fractions(self) -> str:
        """Describes the fractions and the seed in words."""
        val, test = 100 * self.val, 100 * self.test
        return f"{val:g} % of the links for validation and {test:g} % for the test, drawn by seed {self._seed()}"

    def _seed(self) -> int:
        return int(os.environ.get("PL_GLOBAL_SEED", 0)) if self.seed is None else self.seed

    def split(self, graph: Data) -> SplitLinks:
        """Splits the links of a graph.

        Args:
            graph: With `edge_index` int64 (2, E), both directions of every edge.

        Raises:
            ValueError: The graph is directed, or has too few links or too few non-edges.
        """
        generator = np.random.default_rng(self._seed())
        links = _undirected_links(graph)
        order = torch.from_numpy(generator.permutation(links.shape[1]))
        num_val, num_test = (math.floor(fraction * links.shape[1] + 1e-9) for fraction in (self.val, self.test))
        if not num_val or not num_test:
            raise ValueError(
                f"data.split: of {links.shape[1]} links, val {self.val:g} and test {self.test:g} leave {num_val} and "
                f"{num_test}; at least one of each is needed, give larger shares or another graph"
            )
        val, test, train = links[:, order].tensor_split((num_val, num_val + num_test), dim=1)
        held_out = _keys(torch.cat([val, test], 1), len(graph.x))
        source, target = graph.edge_index
        keys = _keys(torch.stack([torch.minimum(source, target), torch.maximum(source, target)]), len(graph.x))
        positives = Positives(message_mask=~torch.isin(keys, held_out), val=val, test=test)
        val_negatives, test_negatives = self.negatives(graph, positives, generator)
        return SplitLinks(positives.message_mask, train, Links(val, val_negatives), Links(test, test_negatives))


class RandomLinkSplit(LinkSplit):
    """One uniformly sampled negative per held-out link, fixed for the whole run: the protocol of AUC and AP.

    Negatives are distinct non-edges of the whole graph, without self-loops. Arguments as in `LinkSplit`.
    """

    @property
    @override
    def name(self) -> str:
        fractions = (1 - self.val - self.test, self.val, self.test)
        return f"link_{percentages(fractions)}_auc"

    @override
    def describe(self) -> str:
        return f"{self.fractions()}; as many negatives, drawn uniformly"

    @override
    def negatives(self, graph: Data, positives: Positives, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
        non_edges = NonEdges(graph.edge_index, len(graph.x))
        num_val, num_test = positives.val.shape[1], positives.test.shape[1]
        if non_edges.count < num_val + num_test:
            raise ValueError(
                f"data.split: {num_val + num_test} negatives are needed, but only {non_edges.count} pairs of nodes "
                "have no edge; give smaller shares or a sparser graph"
            )
        numbers = generator.choice(non_edges.count, num_val + num_test, replace=False)
        val, test = non_edges.pairs(torch.from_numpy(numbers)).tensor_split((num_val,), dim=1)
        return val, test


LinkShares = RandomLinkSplit  # the former name, in old configs, run folders and packages


def _undirected_links(graph: Data) -> Tensor:
    """Each link once, the lower node first, without self-loops, int64 (2, P), ascending."""
    keys = _keys(graph.edge_index, len(graph.x))
    reverse = _keys(graph.edge_index.flip(0), len(graph.x))
    if not torch.isin(reverse, keys).all():
        raise ValueError(
            "data.graph: the graph is directed, links are predicted in undirected ones; read it with both directions "
            "of every edge (`undirected: true`)"
        )
    keys = keys[graph.edge_index[0] < graph.edge_index[1]].unique()
    if not len(keys):
        raise ValueError("data.graph: no edge joins two nodes, so there are no links to predict")
    return torch.stack([keys // len(graph.x), keys % len(graph.x)])


def _keys(edge_index: Tensor, num_nodes: int) -> Tensor:
    """One integer per ordered pair, int64 (E,)."""
    return edge_index[0] * num_nodes + edge_index[1]
