"""BaseDataModule, the base class of every data module: seeded, resumable, vectorised loaders."""

import os
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np
import polars as pl
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from typing_extensions import override

if TYPE_CHECKING:
    from features.contracts import Contract

Split = Literal["train", "val", "test", "predict"]


class BatchedDataset(Protocol):
    """A dataset that gathers a whole batch from an array of indices."""

    def __len__(self) -> int: ...

    def __getitems__(self, indices: Any) -> Any: ...


class TrainBatches(Sampler[np.ndarray]):
    """Shuffled batches of indices whose order is a pure function of (seed, epoch).

    A global batch is `batch_size * world_size` consecutive indices of that order, distributed over the ranks, so that N
    ranks together see what one rank with an N times larger batch would see. The incomplete last global batch of an
    epoch is dropped.

    Args:
        size: Number of samples.
        batch_size: Samples per batch and rank.
        seed: Seed of the run.
        rank: Rank of this process.
        world_size: Number of processes.
        position: Returns (epoch, number of batches already trained in it) when an iteration starts.
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
                f"data.batch_size: {batch_size} x {world_size} processes is more than the {size} training samples; "
                f"at most {size // world_size} fit"
            )
        self.size = size
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.position = position

    def __len__(self) -> int:
        return self.size // (self.batch_size * self.world_size)

    def __iter__(self) -> Iterator[np.ndarray]:
        epoch, first = self.position()
        order = np.random.default_rng([self.seed, epoch]).permutation(self.size)
        step = self.batch_size * self.world_size
        for index in range(first, len(self)):
            yield order[index * step : (index + 1) * step][self.rank :: self.world_size]


class EvalBatches(Sampler[np.ndarray]):
    """Every sample once, in order, distributed over the ranks; every rank has the same number of batches.

    Args:
        size: Number of samples.
        batch_size: Maximum samples per batch.
        rank: Rank of this process.
        world_size: Number of processes.
    """

    def __init__(self, *, size: int, batch_size: int, rank: int, world_size: int) -> None:
        self.local_indices = np.arange(rank, size, world_size)
        largest_share = -(-size // world_size)
        self.num_batches = -(-largest_share // batch_size)

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[np.ndarray]:
        # Equal batch counts: under FSDP every forward is a collective, so a rank with an extra batch would hang.
        yield from np.array_split(self.local_indices, self.num_batches)


class LazyLoader(DataLoader[Any]):
    """A DataLoader that starts reading when the first batch is requested, not when the iterator is created.

    Lightning creates the iterator before it restores the position of a resumed run (and earlier still when a scheduler
    needs the number of steps); workers would by then have prefetched batches of the wrong position.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        yield from super().__iter__()

    def state_dict(self) -> dict[str, Any]:
        """Empty: Lightning requires it for mid-epoch resume, but the position comes from the trainer."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Does nothing, see `state_dict`."""


def _as_gathered(batch: Any) -> Any:
    return batch


class BaseDataModule(LightningDataModule):
    """Loaders over `BatchedDataset`s; subclasses define the dataset of each split.

    Args:
        batch_size: Samples per training batch and process.
        eval_batch_size: Maximum samples per batch outside training; None for `batch_size`. Does not affect metrics.
        num_workers: Worker processes; 0 gathers batches in the training process.
        pin_memory: Copy batches to page-locked memory, for faster transfer to a GPU.
    """

    def __init__(
        self,
        *,
        batch_size: int,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("batch_size", batch_size), ("eval_batch_size", eval_batch_size)):
            if value is not None and value < 1:
                raise ValueError(f"data.{name}: {value} given, at least 1 is needed")
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size or batch_size
        self.num_workers = num_workers
        self.pin_memory = pin_memory

    train_batches: type[TrainBatches] = TrainBatches
    """Sampler of training batches."""

    model_arguments: ClassVar[tuple[str, ...]] = ()
    """Attributes that fill the arguments of the same name of the model and of its networks, where they have them."""

    found_arguments: ClassVar[tuple[str, ...]] = ()
    """Attributes found in the data that fill arguments of networks which a config leaves out; None if there is none."""

    prediction_order: ClassVar[str | None] = None
    """Column of prediction tables that gives the order of their rows; None for the order of the batches."""

    sample_name: str = "samples"
    """Name of a sample in throughput displays."""

    def num_samples(self, batch: Any) -> int:
        """Number of samples in a batch, for throughput displays."""
        return len(next(iter(batch.values())))

    def prediction_table(self, outputs: dict[str, Tensor]) -> pl.DataFrame:
        """Table of a batch's predictions: a column per output, a row per sample.

        Args:
            outputs: Result of the model's `predict_step`, tensors (N, ...) on the CPU.
        """
        return pl.DataFrame({name: value.numpy() for name, value in outputs.items()})

    @property
    def contract(self) -> "Contract | None":
        """Data contract of the table that it reads, which packages carry; None without one."""
        return None

    @abstractmethod
    def fingerprint(self) -> dict[str, Any]:
        """Identity of the data as plain data: name, size, checksum."""

    @abstractmethod
    def protocol(self) -> dict[str, Any]:
        """Evaluation protocol of the test, in words and numbers, for the report."""

    def notes(self) -> list[str]:
        """What was dropped, inserted or filled while reading the data, one line each; called after `setup`."""
        return []

    def how_found(self, name: str) -> str:
        """How an attribute of `found_arguments` was found, in words.

        Raises:
            ValueError: There is none in these data; what to do instead.
        """
        raise NotImplementedError(name)

    def doubts(self, name: str, given: Any) -> str | None:  # noqa: ARG002
        """What the data say against a value that was given for one of `found_arguments`; None if nothing."""
        return None

    @property
    def settled_arguments(self) -> dict[str, Any]:
        """Arguments that were left to the data, with what was found, nested as in a config.

        The run's config keeps what was found: a run on a longer table is asked for windows of the same sizes.
        """
        return {}

    @abstractmethod
    def dataset(self, split: Split) -> BatchedDataset:
        """Dataset of one split; called after `setup`."""

    @override
    def train_dataloader(self) -> LazyLoader:
        dataset = self.dataset("train")
        return self._loader(dataset, self.training_batches(dataset))

    def training_batches(self, dataset: BatchedDataset) -> Sampler[np.ndarray]:
        """Sampler of the batches of the training dataset."""
        rank, world_size = self._rank_and_world_size()
        return self.train_batches(
            size=len(dataset),
            batch_size=self.batch_size,
            seed=self._seed,
            rank=rank,
            world_size=world_size,
            position=self._position,
        )

    @override
    def val_dataloader(self) -> LazyLoader:
        return self._eval_loader("val")

    @override
    def test_dataloader(self) -> LazyLoader:
        return self._eval_loader("test")

    @override
    def predict_dataloader(self) -> LazyLoader:
        return self._eval_loader("predict")

    def _eval_loader(self, split: Split) -> LazyLoader:
        dataset = self.dataset(split)
        return self._loader(dataset, self.evaluation_batches(dataset))

    def evaluation_batches(self, dataset: BatchedDataset) -> Sampler[np.ndarray]:
        """Sampler of the batches of a dataset for validation, test or predictions."""
        rank, world_size = self._rank_and_world_size()
        return EvalBatches(size=len(dataset), batch_size=self.eval_batch_size, rank=rank, world_size=world_size)

    def _loader(self, dataset: BatchedDataset, batches: Sampler[np.ndarray]) -> LazyLoader:
        return LazyLoader(
            dataset,  # type: ignore[arg-type]
            batch_sampler=batches,  # type: ignore[arg-type]
            collate_fn=_as_gathered,  # type: ignore[arg-type]
            num_workers=self.num_workers,
            pin_memory=self.pin_memory,
            # Without a separate generator a loader draws from the global one at each start.
            generator=torch.Generator().manual_seed(0),
        )

    @property
    def _seed(self) -> int:
        return int(os.environ.get("PL_GLOBAL_SEED", 0))

    def _rank_and_world_size(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    def _position(self) -> tuple[int, int]:
        """(epoch, batches completed in it), from the trainer, which restores it from a checkpoint."""
        if self.trainer is None:
            return 0, 0
        done = self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
        # With `overfit_batches` every epoch repeats the same few batches.
        epoch = 0 if getattr(self.trainer, "overfit_batches", 0) else self.trainer.current_epoch
        # The checkpoint of a finished epoch counts all its batches as completed: the next epoch starts at 0.
        return epoch, done if done < self.trainer.num_training_batches else 0
