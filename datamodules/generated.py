"""Batches that are drawn anew instead of gathered from a fixed set."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from torch import Tensor
from typing_extensions import override

from datamodules.base import BaseDataModule, TrainBatches


class DrawnDataset(Protocol):
    """A dataset that draws a whole batch from `np.random.default_rng(key)`, and from nothing else."""

    def __len__(self) -> int: ...

    def __getitems__(self, key: np.ndarray) -> dict[str, Tensor]: ...


class DrawnBatches(TrainBatches):
    """Keys int64 (4,) of batches: seed, epoch, batch within the epoch, rank; arguments as of `TrainBatches`.

    What a batch holds follows from its key alone, so a run that is resumed draws what the interrupted one would have
    drawn. Ranks draw different batches.
    """

    @override
    def __iter__(self) -> Iterator[np.ndarray]:
        epoch, first = self.position()
        for index in range(first, len(self)):
            yield np.array([self.seed, epoch, index, self.rank])


class DrawnDataModule(BaseDataModule):
    """A data module whose training split is a `DrawnDataset`; arguments as of `BaseDataModule`."""

    train_batches = DrawnBatches
