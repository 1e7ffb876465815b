"""Nodes of one graph: the whole graph at each step, or sampled neighbourhoods."""

from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data
from typing_extensions import override

from datamodules.base import BaseDataModule, Split
from datamodules.graph.node_split import NodeIndices, NodeSplit
from datamodules.graph.source import GraphSource
from datamodules.graph.whole_graph import OnDevice, WholeGraph, prepare_features


class NodeDataModule(BaseDataModule):
    """Pairs with `NodeClassifier`: which nodes of a graph are trained on, validated and tested.

    Without `fan_out` a batch is the whole graph, and its edges and features are seen in every split (transductive).
    Batches are PyG `Data` with `x`, `edge_index`, `edge_weight` if the graph has some, `y`, `node_id`, and
    `target_index`: the places of the nodes that count.

    Args:
        graph: Where the graph comes from.
        split: The protocol.
        normalize_features: Divide each node's features by their sum.
        sparse_features: Keep features in a sparse matrix; None does where fewer than 5 % are not zero.
        steps_per_epoch: Optimizer steps per epoch on a whole graph.
    """

    sample_name = "nodes"

    def __init__(
        self,
        *,
        graph: GraphSource,
        split: NodeSplit,
        normalize_features: bool = False,
        sparse_features: bool | None = None,
        steps_per_epoch: int = 1,
    ) -> None:
        super().__init__(batch_size=1)
        if steps_per_epoch < 1:
            raise ValueError(f"data.steps_per_epoch: {steps_per_epoch} given, at least 1 is needed")
        self.source = graph
        self.split = split
        self.normalize_features = normalize_features
        self.sparse_features = sparse_features
        self.steps_per_epoch = steps_per_epoch
        self._on_device = OnDevice()

    @cached_property
    def graph(self) -> Data:
        """The whole graph, features as the models take them."""
        graph = self.source.read()
        graph.x = prepare_features(graph.x, normalize=self.normalize_features, sparse=self.sparse_features)
        return graph

    @cached_property
    def indices(self) -> NodeIndices:
        """The nodes of each split."""
        return self.split.split(self.graph)

    @property
    def num_features(self) -> int:
        """Features of a node."""
        return int(self.graph.x.shape[1])

    @property
    def num_classes(self) -> int:
        """Classes of nodes."""
        return int(self.graph.y.max()) + 1

    @property
    def output_size(self) -> int:
        """What an encoder that ends in logits gives per node."""
        return self.num_classes

    @cached_property
    def _batches(self) -> dict[str, Data]:
        everything = torch.arange(self.graph.num_nodes)
        splits = {**self.indices._asdict(), "predict": everything}
        return {name: self._batch(index, everything) for name, index in splits.items()}

    def _batch(self, target_index: Tensor, node_id: Tensor) -> Data:
        weight = {"edge_weight": self.graph.edge_weight} if "edge_weight" in self.graph else {}
        return Data(
            x=self.graph.x,
            edge_index=self.graph.edge_index,
            y=self.graph.y,
            node_id=node_id,
            target_index=target_index,
            whole_graph=True,
            **weight,
        )

    @override
    def dataset(self, split: Split) -> WholeGraph:
        return WholeGraph(self._batches[split], num_steps=self.steps_per_epoch if split == "train" else 1)

    @override
    def num_samples(self, batch: Data) -> int:
        return len(batch.target_index)

    @override
    def transfer_batch_to_device(self, batch: Data, device: torch.device, dataloader_idx: int) -> Data:
        return self._on_device.copy(batch, device)

    def fingerprint(self) -> dict[str, Any]:
        return self.source.fingerprint()

    def protocol(self) -> dict[str, Any]:
        return {"name": self.split.name, "split": self.split.describe()}
