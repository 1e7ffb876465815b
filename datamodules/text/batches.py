"""TokenBudgetBatches: batches of texts of similar length under a budget of tokens, padding included."""

from collections.abc import Callable, Iterator

import numpy as np
from torch.utils.data import Sampler
from typing_extensions import override

_FINENESS = 16
"""Lengths that differ by less than one part in so many count as equal: their rows mix, their padding stays small."""


class TokenBudgetBatches(Sampler[np.ndarray]):
    """Shuffled batches of indices of texts of similar length; their order is a pure function of (seed, epoch).

    A batch has as many rows as fit: rows times the longest of them is at most `max_tokens`. Rows are sorted by length,
    those of about the same length in random order, then cut into batches, whose order is random. The number of batches
    is the same in every epoch, each row is in exactly one of them, and all ranks have batches of the same shape. Where
    batches have one row, the last one of several processes may have two, so that none of them is left without a row.

    Args:
        lengths: Tokens of each row, int64 (N,).
        max_tokens: Most tokens of a batch and rank, padding included.
        batch_size: Most rows of a batch and rank.
        seed: Seed of the run.
        rank: Rank of this process.
        world_size: Number of processes.
        position: Returns (epoch, number of batches already trained in it) when an iteration starts.

    Raises:
        ValueError: The longest row does not fit the budget, or there are fewer rows than processes.
    """

    def __init__(
        self,
        *,
        lengths: np.ndarray,
        max_tokens: int,
        batch_size: int,
        seed: int,
        rank: int,
        world_size: int,
        position: Callable[[], tuple[int, int]],
    ) -> None:
        self.rounded = _rounded(lengths)
        widths = -np.sort(-self.rounded)
        self.bounds = _bounds(widths, max_tokens=max_tokens, batch_size=batch_size, world_size=world_size)
        if len(lengths) < world_size:
            raise ValueError(f"data: {len(lengths):,} training rows for {world_size} processes; give fewer of them")
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.position = position

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @override
    def __iter__(self) -> Iterator[np.ndarray]:
        epoch, first = self.position()
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self.rounded))
        order = order[np.argsort(-self.rounded[order], kind="stable")]
        for batch in rng.permutation(len(self))[first:]:
            yield order[self.bounds[batch] : self.bounds[batch + 1]][self.rank :: self.world_size]


class SortedBatches(Sampler[np.ndarray]):
    """Every row once, the longest first, in batches under a budget of tokens; every rank has the same number of them.

    Args:
        lengths: Tokens of each row, int64 (N,).
        max_tokens: Most tokens of a batch and rank, padding included; None without a limit.
        batch_size: Most rows of a batch and rank.
        rank: Rank of this process.
        world_size: Number of processes.
    """

    def __init__(
        self, *, lengths: np.ndarray, max_tokens: int | None, batch_size: int, rank: int, world_size: int
    ) -> None:
        self.order = np.argsort(-lengths, kind="stable")
        budget = int(lengths.max(initial=1)) * batch_size if max_tokens is None else max_tokens
        widths = np.maximum(lengths[self.order], 1)
        self.bounds = _bounds(widths, max_tokens=budget, batch_size=batch_size, world_size=world_size)
        self.rank = rank
        self.world_size = world_size

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @override
    def __iter__(self) -> Iterator[np.ndarray]:
        for start, end in zip(self.bounds, self.bounds[1:], strict=False):
            yield self.order[start:end][self.rank :: self.world_size]


def _rounded(lengths: np.ndarray) -> np.ndarray:
    """Lengths rounded up to a few steps per doubling, at most to the largest of them."""
    lengths = np.maximum(lengths.astype(np.int64), 1)
    steps = np.maximum(2 ** np.floor(np.log2(lengths)).astype(np.int64) // _FINENESS, 1)
    return np.minimum(-(-lengths // steps) * steps, lengths.max(initial=1))


def _bounds(widths: np.ndarray, *, max_tokens: int, batch_size: int, world_size: int) -> list[int]:
    """Where batches of all ranks together begin among rows, the widest first, and the end of the last."""
    if len(widths) and widths[0] > max_tokens:
        raise ValueError(f"data.max_tokens: {max_tokens:,} given, a text has {widths[0]:,} tokens; give more")
    bounds = [0]
    while bounds[-1] < len(widths):
        rows = min(batch_size, max_tokens // int(widths[bounds[-1]]))
        bounds.append(min(bounds[-1] + rows * world_size, len(widths)))
    if len(bounds) > 2 and bounds[-1] - bounds[-2] < bounds[-2] - bounds[-3]:
        bounds[-2] = (bounds[-3] + bounds[-1] + 1) // 2  # a step on a handful of rows is a noisy one
        if bounds[-1] - bounds[-2] < world_size:
            del bounds[-2]  # a rank without a row would have nothing to compute
    return bounds
