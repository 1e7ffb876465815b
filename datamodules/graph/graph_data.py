"""GraphDataModule: sets of graphs, each with a class or regression targets."""

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor
from torch_geometric.data import Data
from typing_extensions import override

from datamodules.base import BaseDataModule, LazyLoader, Split
from datamodules.class_columns import class_columns
from datamodules.graph.node_features import NodeFeatures
from datamodules.graph.sources.flat_graphs import FlatGraphs
from datamodules.graph.sources.source import GraphSetSource
from datamodules.graph.splits.graph_split import GraphIndices, GraphSplit


class ChosenGraphs:
    """Dataset of some graphs of a set.

    Args:
        graphs: The set.
        numbers: Indices of the graphs, int64.
    """

    def __init__(self, graphs: FlatGraphs, numbers: np.ndarray) -> None:
        self.graphs = graphs
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitems__(self, indices: np.ndarray) -> Data:
        """Gathers the batch of an array of indices into `numbers`."""
        return self.graphs.batch(self.numbers[indices])


class GraphDataModule(BaseDataModule):
    """Data for `GraphPredictor`: training, validation and test graphs of a set.

    Batches are PyG `Data`, see `FlatGraphs.batch`, gathered from concatenated tensors. `predict` uses every graph of
    the set, in order, including those without a label. The incomplete last training batch is dropped, with different
    graphs in each epoch; nothing is dropped outside training.

    Args:
        graphs: Source of the graphs.
        split: The split protocol.
        features: Features from the place of a node in its graph, beside those that the graphs have.
        own_features: Whether to take the features that the graphs have; False leaves `features` alone.
        batch_size: Graphs per training batch and process.
        eval_batch_size: Maximum graphs per batch outside training; None for `batch_size`. Does not affect metrics.
        num_workers: Worker processes that gather batches; 0 gathers in the training process.
        pin_memory: Copy batches to page-locked memory, for faster transfer to a GPU.
    """

    model_arguments = ("num_features", "num_classes", "num_targets")
    sample_name = "graphs"

    def __init__(
        self,
        *,
        graphs: GraphSetSource,
        split: GraphSplit,
        features: NodeFeatures | None = None,
        own_features: bool = True,
        batch_size: int = 32,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__(
            batch_size=batch_size, eval_batch_size=eval_batch_size, num_workers=num_workers, pin_memory=pin_memory
        )
        if features is not None and features.of_one_graph:
            raise ValueError(
                f"data.features: {type(features).__name__} has no meaning across the graphs of a set; take "
                "RandomWalkFeatures, DegreeFeatures or ConstantFeature"
            )
        if not own_features and features is None:
            raise ValueError(
                "data.own_features: false given without data.features, so nodes have none; take RandomWalkFeatures, "
                "DegreeFeatures or ConstantFeature"
            )
        self.source = graphs
        self.split = split
        self.features = features
        self.own_features = own_features

    @cached_property
    def graphs(self) -> FlatGraphs:
        """The whole set, with all features."""
        graphs = self.source.read()
        if self.features is None:
            return graphs
        first_node = torch.repeat_interleave(graphs.node_ptr[:-1], graphs.edge_ptr.diff())
        computed = self.features.compute(graphs.edge_index + first_node, num_nodes=len(graphs.x))
        own = graphs.x if self.own_features else graphs.x[:, :0]
        return replace(graphs, x=torch.cat([own, computed.to_dense()], dim=1))

    @cached_property
    def indices(self) -> GraphIndices:
        """Graph indices of each split."""
        return self.split.split(self.graphs)

    @property
    def num_features(self) -> int:
        """Features of a node."""
        return self.graphs.num_features

    @property
    def num_classes(self) -> int:
        """Number of graph classes; 0 for regression."""
        return self.graphs.num_classes

    @property
    def num_targets(self) -> int:
        """Regression targets per graph; 1 for classification."""
        return 1 if self.num_classes else self.graphs.y.shape[1]

    def feature_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of each feature over the nodes of training graphs, float32 (F,).

        They are 0 and 1 for a feature that is a truth value in all graphs.
        """
        x = self.graphs.x.double()
        truth = ((x == 0) | (x == 1)).all(dim=0)
        chosen = torch.zeros(len(self.graphs), dtype=torch.bool)
        chosen[self.indices.train] = True
        seen = x[torch.repeat_interleave(chosen, self.graphs.node_ptr.diff())]
        if not len(seen):
            return torch.zeros(x.shape[1]), torch.ones(x.shape[1])
        mean, deviation = seen.mean(dim=0), seen.std(dim=0, correction=0)
        deviation[deviation <= 1e-9 * seen.abs().amax(dim=0)] = 1.0
        return mean.masked_fill(truth, 0.0).float(), deviation.masked_fill(truth, 1.0).float()

    def target_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the training targets, float32 (T,); 1 for a constant."""
        targets = self.graphs.y[self.indices.train].double()
        deviation = targets.std(dim=0, correction=0)
        deviation[deviation == 0] = 1.0
        return targets.mean(dim=0).float(), deviation.float()

    @override
    def dataset(self, split: Split) -> ChosenGraphs:
        everything = np.arange(len(self.graphs))
        return ChosenGraphs(self.graphs, everything if split == "predict" else getattr(self.indices, split))

    @override
    def num_samples(self, batch: Data) -> int:
        return len(batch.graph_id)

    @override
    def prediction_table(self, outputs: dict[str, Tensor]) -> pl.DataFrame:
        """A row per graph: `graph_id` (the user's ids if there are any), and class columns, see `class_columns`.

        For regression, a column `value` with an array of the targets.
        """
        ids = pl.Series("graph_id", self.ids_of(outputs["graph_id"].numpy()))
        if self.num_classes:
            return pl.DataFrame([ids, *class_columns(outputs["probabilities"].numpy(), self.class_names)])
        return pl.DataFrame([ids, pl.Series("value", outputs["value"].numpy())])

    def ids_of(self, numbers: np.ndarray) -> np.ndarray:
        """The user's ids of graphs (B,), integers or texts; their indices if there are none.

        Args:
            numbers: Indices, int64 (B,).
        """
        names = self.graphs.graph_names
        return numbers if names is None else np.asarray(names)[numbers]

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, by default their numbers."""
        return [str(name) for name in self.graphs.class_names or range(self.num_classes)]

    @override
    def test_dataloader(self) -> LazyLoader:
        if np.isin(self.indices.test, self.indices.val).any():
            raise ValueError(
                f"data.split: {self.split.name} validates on the graphs it tests on, so that a test would measure what "
                "chose the checkpoint; run `lightning-app compare CONFIG --splits 10` for the mean curve over the "
                "folds, or take StratifiedFolds"
            )
        return super().test_dataloader()

    @override
    def notes(self) -> list[str]:
        return self.source.notes()

    @override
    def fingerprint(self) -> dict[str, Any]:
        source = self.source.fingerprint()
        return source | {"sha256": source["sha256"] | self.split.checksums(self.graphs)}

    def _described_features(self) -> str:
        own = self.source.read().num_features
        if self.features is None:
            return f"{own} of a node"
        return f"{own} of a node and {self.features.describe()}" if self.own_features else self.features.describe()

    @override
    def protocol(self) -> dict[str, Any]:
        indices, target = self.indices, f"{self.num_classes} classes" if self.num_classes else "raw units"
        return {
            "name": self.split.name_for(self.graphs),
            "data": f"{self.source.name}, {len(self.graphs):,} graphs",
            "features": self._described_features(),
            "split": f"{self.split.describe()}; {len(indices.train):,} train, {len(indices.val):,} validation, "
            f"{len(indices.test):,} test, none dropped",
            "targets": target,
        }
