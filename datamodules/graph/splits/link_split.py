"""Which links are trained on, validated and tested, and against which pairs that are none."""

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
    """Links to tell from pairs that are none.

    Attributes:
        positive: int64 (2, P), the links, each once.
        negative: int64 (2, P) pairs that no edge joins, for all links together; or int32 (2, P, K), K for each link.
    """

    positive: Tensor
    negative: Tensor


@dataclass(frozen=True)
class SplitLinks:
    """The links of a graph, dealt out.

    Attributes:
        message_mask: bool (E,), the graph's edges that messages go along in every split: none joins a pair of `val`
            or `test`, in either direction.
        train: int64 (2, P), the links among them, each once and without self loops.
        val: Links of validation.
        test: Links of the test.
    """

    message_mask: Tensor
    train: Tensor
    val: Links
    test: Links


@dataclass(frozen=True)
class Positives:
    """What negatives are found for.

    Attributes:
        message_mask: bool (E,), see `SplitLinks`.
        val: int64 (2, P), links of validation.
        test: int64 (2, P), links of the test.
    """

    message_mask: Tensor
    val: Tensor
    test: Tensor


class LinkSplit(ABC):
    """Holds out shares of an undirected graph's links, uniformly, as Kipf & Welling (2016) did for their GAE.

    Held-out links are no message edges in any split, the test included. Self loops remain message edges and are never
    links to predict.

    Args:
        val: Share of the links to validate on.
        test: Share of the links to test on.
        seed: Of everything that is drawn; None takes the run's `seed_everything`, so that runs of several seeds
            differ in their split too.
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
        """What results under this protocol are filed under."""

    @abstractmethod
    def describe(self) -> str:
        """The protocol in words."""

    @abstractmethod
    def negatives(self, graph: Data, positives: Positives, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Finds the negatives of validation and test, see `Links`.

        Args:
            graph: The whole graph.
            positives: What is held out.
            generator: Where randomness comes from.
        """

    def shares(self) -> str:
        """The shares and the seed in words."""
        val, test = 100 * self.val, 100 * self.test
        return f"{val:g} % of the links for validation and {test:g} % for the test, drawn by seed {self._seed()}"

    def _seed(self) -> int:
        return int(os.environ.get("PL_GLOBAL_SEED", 0)) if self.seed is None else self.seed

    def split(self, graph: Data) -> SplitLinks:
        """Deals out the links of a graph.

        Args:
            graph: With `edge_index` int64 (2, E), both directions of every edge.

        Raises:
            ValueError: The graph is directed, or has too few links or too few pairs that are none.
        """
        generator = np.random.default_rng(self._seed())
        links = _undirected_links(graph)
        order = torch.from_numpy(generator.permutation(links.shape[1]))
        num_val, num_test = (math.floor(share * links.shape[1] + 1e-9) for share in (self.val, self.test))
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


class LinkShares(LinkSplit):
    """As many uniformly drawn negatives as links, the same at each validation: the protocol of AUC and AP.

    No negative is an edge of the whole graph, a self loop, or drawn twice. Arguments as of `LinkSplit`.
    """

    @property
    @override
    def name(self) -> str:
        shares = (1 - self.val - self.test, self.val, self.test)
        return f"link_{percentages(shares)}_auc"

    @override
    def describe(self) -> str:
        return f"{self.shares()}; as many negatives, drawn uniformly"

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


def _undirected_links(graph: Data) -> Tensor:
    """Each link once, the lower node first, without self loops, int64 (2, P), ascending."""
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
    """One number per ordered pair, int64 (E,)."""
    return edge_index[0] * num_nodes + edge_index[1]
