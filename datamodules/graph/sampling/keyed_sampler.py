"""KeyedSampler: samplers whose randomness is a function of a key."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Self

import numpy as np
from torch.utils.data import get_worker_info
from torch_geometric.sampler import BaseSampler

from datamodules.graph.sampling.neighbor_walk import FanOut

Key = int | Sequence[int]


class KeyedSampler(BaseSampler):
    """A sampler with a separate random generator.

    `reseed(key)` before a call makes the call a function of its arguments and the key. Without it, calls continue one
    random stream. Loader workers start as copies of one sampler and would all sample the same: the first call in a
    worker adds the worker's seed, which the loader draws anew in each epoch, to the key.
    """

    @abstractmethod
    def reseed(self, key: Key) -> None:
        """Restarts the random stream with `key`: one or several integers >= 0, such as seed, epoch, batch and rank."""

    @abstractmethod
    def with_fan_out(self, fan_out: FanOut) -> Self:
        """A sampler of the same graph with another fan-out; shares the sorted edges, and restarts the stream."""


class KeyedStream:
    """Random stream of a `KeyedSampler`.

    Args:
        key: See `KeyedSampler.reseed`.

    Attributes:
        key: The key of the current stream.

    Raises:
        ValueError: The key is empty or negative.
    """

    def __init__(self, key: Key) -> None:
        self.reseed(key)

    def reseed(self, key: Key) -> None:
        """See `KeyedSampler.reseed`."""
        self.key = [key] if isinstance(key, int) else [int(part) for part in key]
        if not self.key or min(self.key) < 0:
            raise ValueError(f"key: {key}; give one or several integers >= 0")
        self._generator = np.random.default_rng(self.key)
        self._worker_seed = _worker_seed()

    def generator(self) -> np.random.Generator:
        """The generator of this process."""
        if self._worker_seed != (worker_seed := _worker_seed()):
            assert worker_seed is not None
            self._generator = np.random.default_rng([*self.key, worker_seed])
            self._worker_seed = worker_seed
        return self._generator


def _worker_seed() -> int | None:
    worker = get_worker_info()
    return None if worker is None else int(worker.seed)
