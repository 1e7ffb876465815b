"""GeneratedDataModule: training batches generated on the fly instead of gathered from a fixed set."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from torch import Tensor
from typing_extensions import override

from datamodules.base import BaseDataModule, TrainBatches


class GeneratedDataset(Protocol):
    """A dataset that generates a whole batch from `np.random.default_rng(key)` and no other randomness."""

    def __len__(self) -> int: ...

    def __getitems__(self, key: np.ndarray) -> dict[str, Tensor]: ...


class GeneratedBatches(TrainBatches):
    """Keys int64 (4,) of batches: seed, epoch, batch within the epoch, rank; arguments as in `TrainBatches`.

    The key determines the batch, so a resumed run generates the same batches as an uninterrupted one. Ranks generate
    different batches.
    """

    @override
    def __iter__(self) -> Iterator[np.ndarray]:
        epoch, first = self.position()
        for index in range(first, len(self)):
            yield np.array([self.seed, epoch, index, self.rank])


class GeneratedDataModule(BaseDataModule):
    """A data module whose training split is a `GeneratedDataset`; arguments as in `BaseDataModule`."""

    train_batches = GeneratedBatches
