"""Training batches that are drawn anew at each step instead of being dealt from a shuffled list."""

from collections.abc import Callable, Iterator

import numpy as np
from torch.utils.data import Sampler


class DrawnBatches(Sampler[np.ndarray]):
    """Keys of drawn batches: step s of epoch e on rank r has the key [seed, e, s, r].

    The dataset makes the batch of a key with `np.random.default_rng(key)`, so that a batch depends on where training
    is and on nothing that ran before it.

    Args:
        num_batches: Batches per epoch and rank.
        seed: Seed of the run.
        rank: This process.
        position: Gives (epoch, number of batches already trained in it) whenever an iteration starts.
    """

    def __init__(self, *, num_batches: int, seed: int, rank: int, position: Callable[[], tuple[int, int]]) -> None:
        if num_batches < 1:
            raise ValueError(f"num_batches: {num_batches} given, an epoch needs at least 1")
        self.num_batches = num_batches
        self.seed = seed
        self.rank = rank
        self.position = position

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[np.ndarray]:
        epoch, first = self.position()
        for step in range(first, self.num_batches):
            yield np.array([self.seed, epoch, step, self.rank])
