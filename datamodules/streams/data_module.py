"""StreamDataModule: chunks of documents on lanes, for models with a carried state."""

import os
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, Protocol

import numpy as np
from torch import Tensor
from typing_extensions import override

from datamodules.base import BaseDataModule, LazyLoader, Split
from datamodules.streams.lanes import Arrangement, Chunk, LaneBatches


class StreamedDataset(Protocol):
    """Rows of data grouped into documents, gathered one chunk of lanes at a time."""

    documents: np.ndarray
    """First and end row of each document, int64 (D, 2)."""

    def __getitems__(self, chunk: Chunk) -> dict[str, Tensor]: ...


class StreamDataModule(BaseDataModule):
    """Chunks of B lanes instead of shuffled samples; subclasses define the documents of each split.

    Batches have `reset` bool (B, L), True at the first step of a document, and `valid` bool (B, L), True where a step
    counts in the loss. One batch is one optimizer step. With `window` > `chunk_size` gradients flow `window` steps
    back, over steps of earlier batches that are recomputed.

    Args:
        batch_size: Lanes per process in training.
        chunk_size: New steps per batch, k1 of truncated backpropagation.
        window: Steps that gradients flow back, k2; None for `chunk_size`.
        arrangement: `packed` cuts documents into lanes of equal length; `aligned` keeps each whole, see `LaneBatches`.
        shuffle: Rearrange the training documents in each epoch.
        eval_batch_size: Lanes of all processes outside training; None for `batch_size`. Each lane starts from the
            initial state, so fewer lanes give slightly better scores.
        num_workers: Worker processes that gather batches.
        pin_memory: Copy batches to page-locked memory.
    """

    model_arguments: ClassVar[tuple[str, ...]] = ("chunk_size",)

    def __init__(
        self,
        *,
        batch_size: int,
        chunk_size: int,
        window: int | None = None,
        arrangement: Arrangement = "packed",
        shuffle: bool = False,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__(
            batch_size=batch_size, eval_batch_size=eval_batch_size, num_workers=num_workers, pin_memory=pin_memory
        )
        if chunk_size < 1:
            raise ValueError(f"data.chunk_size: {chunk_size} given, at least 1 is needed")
        if window is not None and window < chunk_size:
            raise ValueError(
                f"data.window: {window} given, at least chunk_size {chunk_size} is needed: "
                "the gradient cannot reach back less than the steps that are new"
            )
        if arrangement not in ("packed", "aligned"):
            raise ValueError(f"data.arrangement: {arrangement!r} given, allowed are 'packed' and 'aligned'")
        self.chunk_size = chunk_size
        self.window = window or chunk_size
        self.arrangement = arrangement
        self.shuffle = shuffle

    @override
    @abstractmethod
    def dataset(self, split: Split) -> StreamedDataset:  # type: ignore[override]
        """Documents of one split; called after `setup`."""

    eval_arrangement: Arrangement | None = None
    """Arrangement outside training; None for that of training."""

    @override
    def num_samples(self, batch: dict[str, Tensor]) -> int:
        return len(batch["reset"]) * self.chunk_size

    @override
    def train_dataloader(self) -> LazyLoader:
        dataset = self.dataset("train")
        _, world_size = self._rank_and_world_size()
        num_lanes = self.batch_size * world_size
        available = len(dataset.documents) if self.arrangement == "aligned" else _num_rows(dataset.documents)
        if available < num_lanes:
            raise ValueError(
                f"data.batch_size: {num_lanes} lanes cannot be filled with {available} "
                + ("documents; use fewer, or arrangement: packed" if self.arrangement == "aligned" else "steps")
            )
        seed = int(os.environ.get("PL_GLOBAL_SEED", 0)) if self.shuffle else None
        return self._lane_loader(dataset, num_lanes, self.window, self.arrangement, seed, self._position)

    @override
    def _eval_loader(self, split: Split) -> LazyLoader:
        dataset = self.dataset(split)
        _, world_size = self._rank_and_world_size()
        arrangement = self.eval_arrangement or self.arrangement
        available = len(dataset.documents) if arrangement == "aligned" else _num_rows(dataset.documents)
        # The same total number of lanes on any number of processes: each starts from the initial state.
        lanes_each = min(-(-self.eval_batch_size // world_size), -(-available // world_size))
        num_lanes = lanes_each * world_size
        return self._lane_loader(dataset, num_lanes, self.chunk_size, arrangement, None, lambda: (0, 0))

    def _lane_loader(
        self,
        dataset: StreamedDataset,
        num_lanes: int,
        window: int,
        arrangement: Arrangement,
        seed: int | None,
        position: Callable[[], tuple[int, int]],
    ) -> LazyLoader:
        rank, world_size = self._rank_and_world_size()
        batches = LaneBatches(
            documents=dataset.documents,
            num_lanes=num_lanes,
            chunk_size=self.chunk_size,
            window=window,
            arrangement=arrangement,
            seed=seed,
            rank=rank,
            world_size=world_size,
            position=position,
        )
        return self._loader(dataset, batches)  # type: ignore[arg-type]


def _num_rows(documents: np.ndarray) -> int:
    return int((documents[:, 1] - documents[:, 0]).sum())
