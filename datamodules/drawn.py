"""Batches that are drawn anew instead of gathered from a fixed set."""

import os
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
from torch import Tensor
from torch.utils.data import Sampler
from typing_extensions import override

from datamodules.base import BaseDataModule, LazyLoader


class DrawnDataset(Protocol):
    """A dataset that draws a whole batch from `np.random.default_rng(key)`, and from nothing else."""

    def __len__(self) -> int: ...

    def __getitems__(self, key: np.ndarray) -> dict[str, Tensor]: ...


class DrawnBatches(Sampler[np.ndarray]):
    """Keys int64 (4,) of batches: seed, epoch, batch within the epoch, rank.

    What a batch holds follows from its key alone, so a run that is resumed draws what the interrupted one would have
    drawn. Ranks draw different batches.

    Args:
        size: Samples of an epoch, over all ranks.
        batch_size: Samples per batch and rank.
        seed: Seed of the run.
        rank: This process among `world_size`.
        world_size: Number of processes.
        position: Gives (epoch, number of batches already trained in it) whenever an iteration starts.
    """

    def __init__(
        self,
        *,
        size: int,
        batch_size: int,
        seed: int,
        rank: int,
        world_size: int,
        position: Callable[[], tuple[int, int]],
    ) -> None:
        if size < batch_size * world_size:
            raise ValueError(
                f"data.batch_size: {batch_size} x {world_size} processes is more than the {size} training samples"
            )
        self.num_batches = size // (batch_size * world_size)
        self.seed = seed
        self.rank = rank
        self.position = position

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[np.ndarray]:
        epoch, first = self.position()
        for index in range(first, self.num_batches):
            yield np.array([self.seed, epoch, index, self.rank])


class DrawnDataModule(BaseDataModule):
    """A data module whose training split is a `DrawnDataset`; arguments as of `BaseDataModule`."""

    @override
    def train_dataloader(self) -> LazyLoader:
        dataset = self.dataset("train")
        rank, world_size = self._rank_and_world_size()
        batches = DrawnBatches(
            size=len(dataset),
            batch_size=self.batch_size,
            seed=int(os.environ.get("PL_GLOBAL_SEED", 0)),
            rank=rank,
            world_size=world_size,
            position=self._position,
        )
        return self._loader(dataset, batches)
