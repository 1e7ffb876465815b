"""NodeDataModule: node classification on the whole graph at each step, or on sampled neighbourhoods."""

import copy
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from typing_extensions import override

from datamodules.base import Split
from datamodules.class_columns import class_columns
from datamodules.graph.node_features import NodeFeatures
from datamodules.graph.sampling.keyed_sampler import KeyedSampler
from datamodules.graph.sampling.neighbor_sampler import neighbor_sampler
from datamodules.graph.sampling.neighborhoods import Neighborhoods
from datamodules.graph.sampling.whole_graph import WholeGraph
from datamodules.graph.single_graph import NormalizeFeatures, SingleGraphDataModule
from datamodules.graph.sources.source import GraphSource
from datamodules.graph.splits.node_split import NodeIndices, NodeSplit


class NodeDataModule(SingleGraphDataModule):
    """Data for `NodeClassifier`: training, validation and test nodes of one graph.

    The graph, with the features of all nodes, is visible in every split (the transductive setting). Without `fan_out` a
    batch is the whole graph; with it, the sampled neighbourhoods of `batch_size` nodes, and evaluation uses complete
    neighbourhoods of the same number of hops. An encoder that divides by degrees (GCN, APPNP, GCNII) uses those of the
    subgraph: for the logits of the whole graph, `eval_fan_out` needs one -1 more than the encoder has layers.

    Batches are PyG `Data` (`HeteroData` for heterogeneous graphs) with `x`, `edge_index`, `edge_weight` if the graph
    has any, `y`, `node_id` (indices in the whole graph), and `target_index`, the indices of the nodes to classify.

    Args:
        graph: Source of the graph.
        split: The split protocol.
        features: Features from the place in the graph, beside those that the graph has; needed where it has none.
        own_features: Whether to take the features that the graph has; False leaves `features` alone.
        normalize_features: True divides each node's own features by their sum if that exceeds 1, "columns" standardises
            each over all nodes, "centred" subtracts their means and divides all by one scale, False leaves them; None
            chooses from the values, see `choose_normalization`. Those of `features` are never normalised.
        sparse_features: Store features as a sparse matrix; None for sparse if fewer than 5 % are non-zero.
        steps_per_epoch: Optimizer steps per epoch on a whole graph.
        fan_out: Neighbours sampled per node in each hop, -1 for all; None uses the whole graph.
        eval_fan_out: The same in evaluation; None takes all neighbours, for as many hops as `fan_out`. If it samples,
            metrics depend slightly on `eval_batch_size`, since a batch is sampled together.
        temporal: Exclude edges later than the node to classify, or, if edges have no times, neighbours later than it.
            Nodes need times. With `fan_out` only.
        batch_size: Nodes per training batch and process; with `fan_out` only.
        eval_batch_size: Maximum nodes per batch outside training; None for `batch_size`.
        num_workers: Worker processes that sample neighbourhoods.
        pin_memory: Copy batches to page-locked memory.
    """

    model_arguments = ("num_features", "num_classes", "output_size", "edge_types", "target_type")
    sample_name = "nodes"

    def __init__(
        self,
        *,
        graph: GraphSource,
        split: NodeSplit,
        features: NodeFeatures | None = None,
        own_features: bool = True,
        normalize_features: NormalizeFeatures = None,
        sparse_features: bool | None = None,
        steps_per_epoch: int = 1,
        fan_out: Sequence[int] | None = None,
        eval_fan_out: Sequence[int] | None = None,
        temporal: bool = False,
        batch_size: int = 512,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
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
            eval_batch_size=eval_batch_size,
            num_workers=num_workers,
            pin_memory=pin_memory,
        )
        for name, value in (("eval_fan_out", eval_fan_out), ("temporal", temporal)):
            if value and not fan_out:
                raise ValueError(f"data.{name}: {value} given without fan_out; a whole graph is not sampled")
        if temporal and features is not None and features.reads_edges:
            raise ValueError(
                f"data.features: {type(features).__name__} reads all edges, with data.temporal: true later ones too; "
                "take ConstantFeature or IdentityFeatures"
            )
        self.split = split
        self.eval_fan_out = list(eval_fan_out) if eval_fan_out else [-1] * len(fan_out or [])
        self.temporal = temporal

    @cached_property
    def graph(self) -> Data | HeteroData:
        """The whole graph, with all features in the form that models take."""
        graph = super().graph
        if isinstance(graph, Data):
            graph.x = self.with_features(graph.x, graph.edge_index)
        return graph

    @cached_property
    def indices(self) -> NodeIndices:
        """Node indices of each split."""
        return self.split.split(self.graph)

    @property
    def num_features(self) -> int | dict[str, int]:
        """Features of a node, by node type for heterogeneous graphs."""
        if isinstance(self.graph, HeteroData):
            return {name: int(self.graph[name].x.shape[1]) for name in self.graph.node_types}
        return int(self.graph.x.shape[1])

    @property
    def num_classes(self) -> int:
        """Number of node classes."""
        names = self._target_store.get("class_names")
        return len(names) if names is not None else int(self._target_store.y.max()) + 1

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, by default their numbers."""
        names = self._target_store.get("class_names") or range(self.num_classes)
        return [str(name) for name in names]

    @property
    def num_nodes(self) -> int:
        """Nodes of the type to classify."""
        return len(self._target_store.y)

    @property
    def node_names(self) -> np.ndarray | None:
        """The user's ids of these nodes (N,), integers or texts; None if the graph has none."""
        names = self._target_store.get("node_names")
        return None if names is None else np.asarray(names)

    @property
    def output_size(self) -> int:
        """Output size of an encoder that returns logits."""
        return self.num_classes

    @property
    def target_type(self) -> str | None:
        """Node type to classify; None for homogeneous graphs."""
        return str(self.graph.target_type) if isinstance(self.graph, HeteroData) else None

    @property
    def edge_types(self) -> list[tuple[str, str, str]]:
        """Edge types; empty for homogeneous graphs."""
        return list(self.graph.edge_types) if isinstance(self.graph, HeteroData) else []

    @property
    def _target_store(self) -> Any:
        return self.graph[self.target_type] if self.target_type is not None else self.graph

    @override
    def dataset(self, split: Split) -> WholeGraph | Neighborhoods:
        if self.fan_out is None:
            return WholeGraph(self._whole[split], num_steps=self.steps_per_epoch if split == "train" else 1)
        sampler = self._sampler if split == "train" else self._sampler.with_fan_out(self.eval_fan_out)
        time = self._target_store.node_time if self.temporal else None
        return Neighborhoods(self.graph, nodes=self._nodes(split), sampler=sampler, time=time)

    @cached_property
    def _sampler(self) -> KeyedSampler:
        assert self.fan_out is not None
        if not self.temporal:
            return neighbor_sampler(self.graph, fan_out=self.fan_out)
        if "node_time" not in self._target_store:
            raise ValueError("data.temporal: the nodes to classify have no times; give the graph's `time` column")
        of_edges = {"edge_time" in store for store in self.graph.edge_stores}
        if len(of_edges) > 1:
            raise ValueError("data.temporal: some types of edges have times and some have none; give all or none")
        return neighbor_sampler(
            self.graph, fan_out=self.fan_out, time_attr="edge_time" if True in of_edges else "node_time"
        )

    def _nodes(self, split: Split) -> Tensor:
        return torch.arange(len(self._target_store.y)) if split == "predict" else getattr(self.indices, split)

    @cached_property
    def _whole(self) -> dict[str, Data | HeteroData]:
        """A batch per split; they share all tensors but `target_index`."""
        return {split: self._whole_batch(self._nodes(split)) for split in ("train", "val", "test", "predict")}

    def _whole_batch(self, nodes: Tensor) -> Data | HeteroData:
        batch = copy.copy(self.graph)
        batch.y = self._target_store.y
        batch.node_id = torch.arange(len(batch.y))
        batch.target_index = nodes
        batch.whole_graph = True
        return batch

    @override
    def num_samples(self, batch: Data | HeteroData) -> int:
        return len(batch.target_index)

    @override
    def prediction_table(self, outputs: dict[str, Tensor]) -> pl.DataFrame:
        """A row per node: `node_id`, `label`, its `probability`, and the `probabilities` of all `class_names`."""
        nodes = outputs["node_id"].numpy()
        ids = pl.Series("node_id", nodes if self.node_names is None else self.node_names[nodes])
        return pl.DataFrame([ids, *class_columns(outputs["probabilities"].numpy(), self.class_names)])

    @override
    def fingerprint(self) -> dict[str, Any]:
        source = super().fingerprint()
        return source | {"sha256": source["sha256"] | self.split.checksums(self.graph)}

    @override
    def protocol(self) -> dict[str, Any]:
        sampled = (
            f"neighbourhoods with fan-out {self.eval_fan_out}, -1 being all" if self.fan_out else "the whole graph"
        )
        sizes = ", ".join(f"{len(self._nodes(split)):,} {split}" for split in ("train", "val", "test"))
        return {
            "name": self.split.name_for(self.graph),
            "data": self.source.name,
            "split": f"{self.split.describe()} ({sizes}); none dropped",
            **self.described_features(),
            "evaluation": f"{sampled}; training sees features and edges of all nodes",
            "selection": "on the validation nodes only",
        }
