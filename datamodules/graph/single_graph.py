"""SingleGraphDataModule, the base of data modules over one graph: whole, or as sampled neighbourhoods."""

import copy
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler
from torch_geometric.data import Data, HeteroData
from typing_extensions import override

from datamodules.base import BaseDataModule, BatchedDataset, LazyLoader
from datamodules.graph.node_features import NodeFeatures
from datamodules.graph.sampling.neighborhoods import KeyedBatches
from datamodules.graph.sampling.whole_graph import WholeGraph
from datamodules.graph.sources.features import Normalization, choose_normalization, joined_features, prepare_features
from datamodules.graph.sources.source import GraphSource

NormalizeFeatures = bool | Literal["columns", "centred"] | None
"""See `SingleGraphDataModule`."""


_NORMALIZED = {
    "rows": "each row divided by its sum",
    "columns": "each column standardised",
    "centred": "columns centred, with one scale for all",
    "none": "not normalised",
}


class SingleGraphDataModule(BaseDataModule):
    """A data module over one graph: a training batch is the whole graph, or neighbourhoods sampled from it.

    Args:
        graph: Source of the graph.
        features: Features from the place in the graph, beside those that the graph has; None for the latter alone.
        own_features: Whether to take the features that the graph has; False leaves `features` alone.
        normalize_features: True divides each node's own features by their sum if that exceeds 1, "columns" standardises
            each over all nodes, "centred" subtracts their means and divides all by one scale, False leaves them; None
            chooses from the values, see `choose_normalization`. Those of `features` are never normalised.
        sparse_features: Store features as a sparse matrix; None for sparse if fewer than 5 % are non-zero.
        steps_per_epoch: Optimizer steps per epoch on a whole graph.
        fan_out: Neighbours sampled per node in each hop, -1 for all; None uses the whole graph.
        batch_size: Samples per training batch and process; with `fan_out` only.
        eval_batch_size: Maximum samples per batch outside training; None for `batch_size`.
        num_workers: Worker processes that sample neighbourhoods.
        pin_memory: Copy sampled batches to page-locked memory.
    """

    def __init__(
        self,
        *,
        graph: GraphSource,
        features: NodeFeatures | None,
        own_features: bool,
        normalize_features: NormalizeFeatures,
        sparse_features: bool | None,
        steps_per_epoch: int,
        fan_out: Sequence[int] | None,
        batch_size: int,
        eval_batch_size: int | None,
        num_workers: int,
        pin_memory: bool,
    ) -> None:
        super().__init__(
            batch_size=batch_size, eval_batch_size=eval_batch_size, num_workers=num_workers, pin_memory=pin_memory
        )
        if steps_per_epoch < 1:
            raise ValueError(f"data.steps_per_epoch: {steps_per_epoch} given, at least 1 is needed")
        if not own_features and features is None:
            raise ValueError(
                "data.own_features: false given without data.features, so nodes have none; choose ConstantFeature, "
                "DegreeFeatures or IdentityFeatures of datamodules.graph"
            )
        self.source = graph
        self.features = features
        self.own_features = own_features
        if isinstance(normalize_features, str) and sparse_features:
            raise ValueError(
                f'data.sparse_features: true given with normalize_features: "{normalize_features}", which leaves few '
                "zeros; give one of them"
            )
        self.normalize_features = normalize_features
        self._notes_on_features: list[str] = []
        self.sparse_features = sparse_features
        self.steps_per_epoch = steps_per_epoch
        if fan_out is not None and not fan_out:
            raise ValueError("data.fan_out: [] given; give a number per hop, e.g. [15, 10], or null for all")
        self.fan_out = None if fan_out is None else list(fan_out)
        if self.fan_out is None:
            self.batch_size = 1
        else:
            self.train_batches = KeyedBatches
        self._on_device: dict[tuple[int, torch.device], tuple[Any, Any]] = {}

    @cached_property
    def graph(self) -> Data | HeteroData:
        """The whole graph, with its own features in the form that models take."""
        graph = self.source.read()
        if self.features is not None and isinstance(graph, HeteroData):
            raise ValueError(f"data.features: {self.source.name} has types of nodes; features are of plain graphs")
        for store in graph.node_stores:
            if not store.x.shape[1] and self.features is None:
                raise ValueError(
                    f"data.features: none given, and {self.source.name} has no features of nodes; choose "
                    "ConstantFeature, DegreeFeatures or IdentityFeatures of datamodules.graph"
                )
            own = store.x if self.own_features else store.x.new_zeros(len(store.x), 0)
            chosen = self._normalization(own, "" if isinstance(graph, Data) else f" of {store._key}")
            store.x = prepare_features(own, normalize=chosen, sparse=self.sparse_features)
        return graph

    def _normalization(self, x: Tensor, of: str) -> Normalization:
        """What to normalise; if that is chosen from the values, a line for the user says so."""
        given = self.normalize_features
        if isinstance(given, str):
            return given
        if given is not None or not x.shape[1]:
            return "rows" if given else "none"
        chosen, reason = choose_normalization(x)
        if self.sparse_features and chosen in ("columns", "centred"):
            chosen, reason = "none", "data.sparse_features is true, and they are dense"
        self._notes_on_features.append(f"features{of}: {_NORMALIZED[chosen]}, because {reason}")
        return chosen

    def with_features(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Adds `features` to the graph's own.

        Args:
            x: Own features (N, F), dense or `torch.sparse_csr`.
            edge_index: The edges that a model may see, int64 (2, E).
        """
        if self.features is None:
            return x
        x = joined_features(x, self.features.compute(edge_index, num_nodes=len(x)))
        return prepare_features(x, normalize="none", sparse=self.sparse_features)

    def described_features(self) -> dict[str, str]:
        """Entry of the protocol on `features`; empty without."""
        if self.features is None:
            return {}
        own = self.source.read().num_node_features
        chosen = self.features.describe()
        if own:
            chosen = f"{own} of its own and {chosen}" if self.own_features else f"{chosen} instead of {own} of its own"
        return {"features": chosen}

    @override
    def train_dataloader(self) -> LazyLoader:
        self._check_processes(self.dataset("train"))
        return super().train_dataloader()

    @override
    def _loader(self, dataset: BatchedDataset, batches: Sampler[np.ndarray]) -> LazyLoader:
        """A loader; without workers for a whole graph, which they would only copy."""
        if not isinstance(dataset, WholeGraph):
            return super()._loader(dataset, batches)
        self._check_processes(dataset)
        return LazyLoader(
            dataset,  # type: ignore[arg-type]
            batch_sampler=batches,  # type: ignore[arg-type]
            collate_fn=_as_it_is,
            generator=torch.Generator().manual_seed(0),
        )

    def _check_processes(self, dataset: BatchedDataset) -> None:
        if isinstance(dataset, WholeGraph) and not dataset.shareable and self._rank_and_world_size()[1] > 1:
            raise ValueError(
                "data.fan_out: none given, so that a batch is the whole graph, which several processes cannot share; "
                "sample neighbourhoods, e.g. data.fan_out: [15, 10], or use one device"
            )

    @override
    def transfer_batch_to_device(self, batch: Data | HeteroData, device: torch.device, dataloader_idx: int) -> Any:
        """Copies a batch to the device like PyG; a whole graph is copied once and reused at each step."""
        if device.type == "cpu":
            return batch
        if "whole_graph" not in batch:
            return copy.copy(batch).to(device)
        if not batch.whole_graph:  # its pairs are new, its graph is not
            new = ("edge_label_index", "edge_label", "negative_index")
            moved = copy.copy(batch)
            for name, value in batch:
                if isinstance(value, Tensor):
                    moved[name] = value.to(device) if name in new else self._tensor(value, device)
            return moved
        return self._moved(batch, device, lambda graph: copy.copy(graph).apply(lambda part: self._tensor(part, device)))

    def _tensor(self, tensor: Tensor, device: torch.device) -> Any:
        """A tensor on the device, copied once for all splits that share it."""
        return self._moved(tensor, device, lambda part: part.to(device))

    def _moved(self, original: Any, device: torch.device, move: Callable[[Any], Any]) -> Any:
        key = (id(original), device)
        if key not in self._on_device:
            self._on_device[key] = (original, move(original))  # keeps the original alive, so that its id is not reused
        return self._on_device[key][1]

    @override
    def notes(self) -> list[str]:
        _ = self.graph  # chooses the normalisation
        return [*self.source.notes(), *self._notes_on_features]

    @override
    def fingerprint(self) -> dict[str, Any]:
        return self.source.fingerprint()


def _as_it_is(batch: Any) -> Any:
    return batch
