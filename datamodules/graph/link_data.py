"""LinkDataModule: link prediction on the whole graph at each step, or on sampled neighbourhoods of links."""

import copy
import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor
from torch_geometric.data import Data
from typing_extensions import override

from datamodules.base import BatchedDataset, Split
from datamodules.graph.node_features import NodeFeatures
from datamodules.graph.sampling.keyed_sampler import KeyedSampler
from datamodules.graph.sampling.link_batches import SampledLinks, SampledPairs, WholeGraphLinks, WholeGraphPairs
from datamodules.graph.sampling.neighbor_sampler import neighbor_sampler
from datamodules.graph.sampling.neighborhoods import KeyedBatches
from datamodules.graph.sampling.whole_graph import WholeGraph
from datamodules.graph.single_graph import NormalizeFeatures, SingleGraphDataModule
from datamodules.graph.sources.source import GraphSource
from datamodules.graph.sources.table_columns import node_numbers, numbers_of, read_table
from datamodules.graph.splits.link_split import Links, LinkSplit, SplitLinks
from datamodules.graph.splits.non_edges import NonEdges

_ALL = 1 << 62
_LINKS = "links_sha256"


class LinkDataModule(SingleGraphDataModule):
    """Data for `LinkPredictor`, or for `LinkRanker` if the split has separate negatives for each link.

    Without `fan_out` a training batch is the whole graph with all its training links, which are message edges as well,
    as in Kipf & Welling (2016): each is one edge of many, and an encoder that learns to detect it gains nothing on
    held-out links. With `fan_out` a batch is a part of the links, which are then removed from the message edges, see
    `SampledLinks`; `links_per_step` takes a part of them on the whole graph. In all cases validation, test and
    prediction encode the whole graph over the training edges, on the device: a layer then stores N x hidden_size
    numbers, and, if it gathers the sources of its edges, E x hidden_size: 5 GB for 20 million edges and 64 numbers. If
    that does not fit, `eval_fan_out` samples around a batch's pairs.

    Batches are PyG `Data`, see `LinkPredictor`. Checkpoints record the training links: resuming or testing with another
    split raises.

    Args:
        graph: Source of the graph; every edge in both directions.
        split: The split protocol.
        features: Features from the place in the graph of training edges, beside those that the graph has; needed where
            it has none.
        own_features: Whether to take the features that the graph has; False leaves `features` alone.
        normalize_features: True divides each node's own features by their sum if that exceeds 1, "columns" standardises
            each over all nodes, "centred" subtracts their means and divides all by one scale, False leaves them; None
            chooses from the values, see `choose_normalization`. Those of `features` are never normalised.
        sparse_features: Store features as a sparse matrix; None for sparse if fewer than 5 % are non-zero.
        steps_per_epoch: Optimizer steps per epoch on a whole graph with all its links.
        links_per_step: Links of an optimizer step on the whole graph, for decoders that take the edge of a pair out by
            themselves and need too much memory for all pairs, as `SubgraphDecoder`; None for all links at each step.
        fan_out: Neighbours sampled per node in each hop, -1 for all; None trains on the whole graph.
        eval_fan_out: The same in validation, test and prediction; None uses the whole graph. With -1 for as many hops
            as the encoder has layers the scores are the same; one more hop if it normalises by the degrees of both ends
            (GCN).
        batch_size: Links per sampled training batch and process.
        eval_batch_size: Maximum pairs (or links, each with its negatives) per batch outside training. On the whole
            graph each batch encodes it anew, and None takes all pairs at once; with `eval_fan_out` None takes
            `batch_size`.
        num_workers: Worker processes that sample batches.
        pin_memory: Copy sampled batches to page-locked memory.
        pairs: CSV or parquet file with the columns `source` and `target`: pairs for `predict`, by the graph's node ids
            if it has any, else by index; None scores the test links.
        root: The data root, see `data_root`, below which `pairs` is looked up too.
    """

    model_arguments = ("num_features",)
    sample_name = "links"

    def __init__(
        self,
        *,
        graph: GraphSource,
        split: LinkSplit,
        features: NodeFeatures | None = None,
        own_features: bool = True,
        normalize_features: NormalizeFeatures = None,
        sparse_features: bool | None = None,
        steps_per_epoch: int = 1,
        links_per_step: int | None = None,
        fan_out: Sequence[int] | None = None,
        eval_fan_out: Sequence[int] | None = None,
        batch_size: int = 1024,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
        pairs: str | Path | None = None,
        root: str | Path | None = None,
    ) -> None:
        super().__init__(
            graph=graph,
            features=features,
            own_features=own_features,
            normalize_features=normalize_features,
            sparse_features=sparse_features,
            steps_per_epoch=steps_per_epoch,
            fan_out=fan_out,
            batch_size=batch_size,
            eval_batch_size=_ALL if eval_batch_size is None and not eval_fan_out else eval_batch_size,
            num_workers=num_workers,
            pin_memory=pin_memory,
        )
        if eval_fan_out and not fan_out:
            raise ValueError(f"data.eval_fan_out: {eval_fan_out} given without fan_out; a whole graph is not sampled")
        if links_per_step is not None:
            self._take_part_of_the_links(links_per_step)
        self.links_per_step = links_per_step
        self.split = split
        self.eval_fan_out = list(eval_fan_out) if eval_fan_out else None
        self.pairs = pairs
        self.root = root

    def _take_part_of_the_links(self, links_per_step: int) -> None:
        if links_per_step < 1:
            raise ValueError(f"data.links_per_step: {links_per_step} given, at least 1 is needed")
        if self.fan_out is not None:
            raise ValueError(
                f"data.links_per_step: {links_per_step} given beside fan_out {self.fan_out}; the links of a sampled "
                "step are data.batch_size"
            )
        if self.steps_per_epoch != 1:
            raise ValueError(
                f"data.steps_per_epoch: {self.steps_per_epoch} given beside links_per_step {links_per_step}, by which "
                "an epoch has a step for each part of the links; leave one of them out"
            )
        self.batch_size, self.train_batches = links_per_step, KeyedBatches

    @cached_property
    def graph(self) -> Data:
        """The whole graph, with its own features in the form that models take."""
        graph = super().graph
        if not isinstance(graph, Data):
            raise ValueError(f"data.graph: {self.source.name} has types of nodes; links are predicted in plain graphs")
        return graph

    @cached_property
    def links(self) -> SplitLinks:
        """The links of each split."""
        return self.split.split(self.graph)

    @property
    def num_features(self) -> int:
        """Features of a node."""
        return int(self._training_graph.x.shape[1])

    @property
    def node_names(self) -> np.ndarray | None:
        """The user's ids of the nodes (N,), integers or texts; None where the graph has none."""
        names = self.graph.get("node_names")
        return None if names is None else np.asarray(names)

    @cached_property
    def _training_graph(self) -> Data:
        """The graph with the message edges of every split."""
        mask = self.links.message_mask
        weight = {"edge_weight": self.graph.edge_weight[mask]} if "edge_weight" in self.graph else {}
        edge_index = self.graph.edge_index[:, mask]
        return Data(
            x=self.with_features(self.graph.x, edge_index),
            y=self.graph.y,
            edge_index=edge_index,
            node_id=torch.arange(len(self.graph.x)),
            **weight,
        )

    @cached_property
    def _non_edges(self) -> NonEdges:
        return NonEdges(self._training_graph.edge_index, len(self.graph.x))

    @cached_property
    def _batches(self) -> dict[str, Data]:
        train = self._batch(self.links.train, torch.ones(self.links.train.shape[1]))
        train.non_edges = self._non_edges
        predicted = self.links.test.positive if self.pairs is None else self._pairs(self.pairs)
        return {
            "train": train,
            "val": self._evaluation(self.links.val),
            "test": self._evaluation(self.links.test),
            "predict": self._batch(predicted, torch.ones(predicted.shape[1])),
        }

    def _evaluation(self, links: Links) -> Data:
        positive, negative = links.positive, links.negative
        if negative.ndim == 3:
            batch = self._batch(positive, torch.ones(positive.shape[1]))
            batch.negative_index = negative
            return batch
        labels = torch.cat([torch.ones(positive.shape[1]), torch.zeros(negative.shape[1])])
        return self._batch(torch.cat([positive, negative], dim=1), labels)

    def _batch(self, edge_label_index: Tensor, edge_label: Tensor) -> Data:
        batch = copy.copy(self._training_graph)
        batch.edge_label_index, batch.edge_label, batch.whole_graph = edge_label_index, edge_label, True
        return batch

    def _pairs(self, path: str | Path) -> Tensor:
        """Reads the pairs of a file, int64 (2, P)."""
        table = read_table(
            path, root=self.root, needed=("source", "target"), ids=("source", "target"), key="data.pairs"
        )
        names = self.node_names
        ids = pl.Series("id", range(len(self.graph.x)) if names is None else names)
        known = node_numbers(ids, file=self.source.name)
        ends = [
            numbers_of(table[end], known, file=f"data.pairs: {path}", where="the graph's nodes")
            for end in ("source", "target")
        ]
        return torch.stack([torch.from_numpy(numbers) for numbers in ends])

    @override
    def dataset(self, split: Split) -> BatchedDataset:
        if split != "train":
            if self.eval_fan_out is None:
                return WholeGraphPairs(self._batches[split])
            return SampledPairs(self._batches[split], sampler=self._sampler.with_fan_out(self.eval_fan_out))
        if self.links_per_step is not None:
            return WholeGraphLinks(self._training_graph, self.links.train, self._non_edges)
        if self.fan_out is None:
            return WholeGraph(self._batches[split], num_steps=self.steps_per_epoch)
        return SampledLinks(self._training_graph, self.links.train, self._non_edges, sampler=self._sampler)

    @cached_property
    def _sampler(self) -> KeyedSampler:
        assert self.fan_out is not None
        edges = Data(edge_index=self._training_graph.edge_index, num_nodes=len(self.graph.x))
        return neighbor_sampler(edges, fan_out=self.fan_out)

    @override
    def num_samples(self, batch: Data) -> int:
        return int(batch.edge_label.sum())

    @override
    def prediction_table(self, outputs: dict[str, Tensor]) -> pl.DataFrame:
        """A row per pair: `source`, `target` (node ids if the graph has any), `probability` and `logit`."""
        table = super().prediction_table(outputs)
        if self.node_names is None:
            return table
        ids = pl.Series(self.node_names)
        return table.with_columns(ids.gather(table[end]).alias(end) for end in ("source", "target"))

    @override
    def state_dict(self) -> dict[str, Any]:
        return {_LINKS: hashlib.sha256(self.links.train.numpy().tobytes()).hexdigest()}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if state_dict != self.state_dict():
            raise ValueError(
                "data.split: the checkpoint was trained on other links of the graph, which this split may hold out; "
                "give the graph, the shares and the seed it was trained with (data.split.seed, or seed_everything "
                "where that is null)"
            )

    @override
    def protocol(self) -> dict[str, Any]:
        sizes = ", ".join(f"{count:,} {split}" for split, count in self._sizes().items())
        sampled = f"neighbourhoods with fan-out {self.eval_fan_out}, -1 being all"
        seen = "the whole graph" if self.eval_fan_out is None else sampled
        return {
            "name": self.split.name,
            "data": self.source.name,
            "split": f"{self.split.describe()} ({sizes} links)",
            **self.described_features(),
            "evaluation": f"{seen}, with the training links alone as edges",
            "selection": "on the validation links only",
        }

    def _sizes(self) -> dict[str, int]:
        links = {"train": self.links.train, "val": self.links.val.positive, "test": self.links.test.positive}
        return {split: positive.shape[1] for split, positive in links.items()}
