"""What data modules over one graph share: the graph itself, given whole or in sampled neighbourhoods."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch_geometric.data import Data, HeteroData
from typing_extensions import override

from datamodules.base import BaseDataModule, LazyLoader
from datamodules.graph.features import prepare_features
from datamodules.graph.neighborhoods import KeyedBatches
from datamodules.graph.source import GraphSource


class SingleGraphDataModule(BaseDataModule):
    """A data module over one graph: a training batch is the whole of it, or neighbourhoods sampled from it.

    Args:
        graph: Where the graph comes from.
        normalize_features: Divide each node's features by their sum.
        sparse_features: Keep features in a sparse matrix; None does where fewer than 5 % are not zero.
        steps_per_epoch: Optimizer steps of an epoch on a whole graph.
        fan_out: Neighbours drawn per node in each hop, -1 for all; None takes the whole graph.
        batch_size: Samples per training batch and process; with `fan_out` only.
        eval_batch_size: Most samples per batch elsewhere; None takes `batch_size`.
        num_workers: Processes that sample neighbourhoods.
        pin_memory: Put sampled batches in page-locked memory.
    """

    def __init__(
        self,
        *,
        graph: GraphSource,
        normalize_features: bool,
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
        self.source = graph
        self.normalize_features = normalize_features
        self.sparse_features = sparse_features
        self.steps_per_epoch = steps_per_epoch
        self.fan_out = list(fan_out) if fan_out else None
        if self.fan_out is None:
            # One sample, which lies in memory and is copied to the device once.
            self.batch_size, self.num_workers, self.pin_memory = 1, 0, False
        else:
            self.train_batches = KeyedBatches
        self._on_device: dict[tuple[int, torch.device], Any] = {}

    @cached_property
    def graph(self) -> Data | HeteroData:
        """The whole graph, features as the models take them."""
        graph = self.source.read()
        for store in graph.node_stores:
            store.x = prepare_features(store.x, normalize=self.normalize_features, sparse=self.sparse_features)
        return graph

    @override
    def train_dataloader(self) -> LazyLoader:
        if self.fan_out is None and self._rank_and_world_size()[1] > 1:
            raise ValueError(
                "data.fan_out: none given, so that a batch is the whole graph, which several processes cannot share; "
                "sample neighbourhoods, e.g. data.fan_out: [15, 10], or train on one device"
            )
        return super().train_dataloader()

    @override
    def transfer_batch_to_device(self, batch: Data | HeteroData, device: torch.device, dataloader_idx: int) -> Any:
        """Copies a batch; a whole graph once, not once per step."""
        if "whole_graph" not in batch:
            return batch.to(device)
        if device.type == "cpu":
            return batch
        key = (id(batch), device)  # whole graphs live as long as this data module, so that ids stay their own
        if key not in self._on_device:
            self._on_device[key] = batch.to(device)
        return self._on_device[key]

    @override
    def fingerprint(self) -> dict[str, Any]:
        return self.source.fingerprint()
