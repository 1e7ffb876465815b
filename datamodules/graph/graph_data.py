"""Many graphs, each with a class or with numbers to predict."""

from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from torch import Tensor
from torch_geometric.data import Data
from typing_extensions import override

from datamodules.base import BaseDataModule, LazyLoader, Split
from datamodules.graph.class_columns import class_columns
from datamodules.graph.sources.flat_graphs import FlatGraphs
from datamodules.graph.sources.source import GraphSetSource
from datamodules.graph.splits.graph_split import GraphIndices, GraphSplit


class ChosenGraphs:
    """Some graphs of a set.

    Args:
        graphs: The set.
        numbers: Numbers of the graphs, int64.
    """

    def __init__(self, graphs: FlatGraphs, numbers: np.ndarray) -> None:
        self.graphs = graphs
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitems__(self, indices: np.ndarray) -> Data:
        """The batch of an array of places among the numbers."""
        return self.graphs.batch(self.numbers[indices])


class GraphDataModule(BaseDataModule):
    """Pairs with `GraphPredictor`: which graphs of a set are trained on, validated and tested.

    Batches are PyG `Data`, see `FlatGraphs.batch`, gathered from flat tensors. `predict` takes every graph of the set,
    in order, also those without a label. What does not fill the last training batch is left out of that epoch, other
    graphs in each; nothing is left out elsewhere.

    Args:
        graphs: Where the graphs come from.
        split: The protocol.
        batch_size: Graphs per training batch and process.
        eval_batch_size: Most graphs per batch elsewhere; None takes `batch_size`. Metrics do not depend on it.
        num_workers: Processes that gather batches; 0 gathers in the training process.
        pin_memory: Put batches in page-locked memory, for faster copies to a GPU.
    """

    sample_name = "graphs"

    def __init__(
        self,
        *,
        graphs: GraphSetSource,
        split: GraphSplit,
        batch_size: int = 32,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__(
            batch_size=batch_size, eval_batch_size=eval_batch_size, num_workers=num_workers, pin_memory=pin_memory
        )
        self.source = graphs
        self.split = split

    @cached_property
    def graphs(self) -> FlatGraphs:
        """The whole set."""
        return self.source.read()

    @cached_property
    def indices(self) -> GraphIndices:
        """The graphs of each split."""
        return self.split.split(self.graphs)

    @property
    def num_features(self) -> int:
        """Features of a node."""
        return self.graphs.num_features

    @property
    def num_classes(self) -> int:
        """Classes of graphs; 0 for regression."""
        return self.graphs.num_classes

    @property
    def num_targets(self) -> int:
        """Values per graph; 1 where each has a class."""
        return 1 if self.num_classes else self.graphs.y.shape[1]

    def target_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the targets of the training graphs, float32 (T,); a constant has deviation 1."""
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
        """A row per graph: `graph_id` (the graphs' own ids where they have some), and a class as of `class_columns`.

        Where targets are numbers, a column `value` with an array of them.
        """
        ids = pl.Series("graph_id", self.ids_of(outputs["graph_id"].numpy()))
        if self.num_classes:
            return pl.DataFrame([ids, *class_columns(outputs["probabilities"].numpy(), self.class_names)])
        return pl.DataFrame([ids, pl.Series("value", outputs["value"].numpy())])

    def ids_of(self, numbers: np.ndarray) -> np.ndarray:
        """The graphs' own ids (B,), integers or texts; their numbers where they have none.

        Args:
            numbers: int64 (B,).
        """
        names = self.graphs.graph_names
        return numbers if names is None else np.asarray(names)[numbers]

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, their numbers where they have none."""
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

    @override
    def protocol(self) -> dict[str, Any]:
        indices, target = self.indices, f"{self.num_classes} classes" if self.num_classes else "raw units"
        return {
            "name": self.split.name_for(self.graphs),
            "data": f"{self.source.name}, {len(self.graphs):,} graphs",
            "features": f"{self.num_features} of a node",
            "split": f"{self.split.describe()}; {len(indices.train):,} train, {len(indices.val):,} validation, "
            f"{len(indices.test):,} test, none dropped",
            "targets": target,
        }
