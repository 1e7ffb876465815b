"""LengthBatches: the batches of data modules whose samples are texts of different lengths."""

from typing import Protocol, cast

import numpy as np
from lightning.pytorch.callbacks import BatchSizeFinder
from torch.utils.data import Sampler
from typing_extensions import override

from datamodules.base import BaseDataModule, BatchedDataset
from datamodules.text.batches import SortedBatches, TokenBudgetBatches


class _Texts(BatchedDataset, Protocol):
    @property
    def num_tokens(self) -> np.ndarray: ...


class LengthBatches(BaseDataModule):
    """Base of data modules of texts: batches of similar length under a budget of tokens, padding included.

    Its datasets have `num_tokens`, the tokens of each sample, int64 (N,). Without a budget, training batches are those
    of `BaseDataModule`; the others hold texts of similar length in either case.

    Attributes:
        max_length: Most tokens that the encoder reads at once.
        max_tokens: Most tokens of a batch and process; None without a budget.
    """

    max_length: int
    max_tokens: int | None

    def set_budget(self, max_tokens: int | None, *, max_length: int) -> None:
        """Sets the attributes.

        Args:
            max_tokens: See above.
            max_length: See above.

        Raises:
            ValueError: The longest text would not fit the budget.
        """
        if max_tokens is not None and max_tokens < max_length:
            raise ValueError(
                f"data.max_tokens: {max_tokens:,} given, a text may have {max_length:,} (data.max_length); give more"
            )
        self.max_length = max_length
        self.max_tokens = max_tokens

    @override
    def setup(self, stage: str) -> None:
        """Checks that nothing else decides the size of batches.

        Raises:
            ValueError: `BatchSizeFinder` does, beside a budget.
        """
        callbacks = [] if self.trainer is None else self.trainer.callbacks  # type: ignore[attr-defined]
        if self.max_tokens is not None and any(isinstance(callback, BatchSizeFinder) for callback in callbacks):
            raise ValueError(
                f"data.max_tokens: {self.max_tokens:,} given, which decides the size of batches; leave out "
                "BatchSizeFinder, or data.max_tokens"
            )
        super().setup(stage)

    def _lengths(self, dataset: BatchedDataset) -> np.ndarray:
        lengths = cast("_Texts", dataset).num_tokens
        # A text that is read in several windows may have more tokens than a batch; it is one of its own.
        return lengths if self.max_tokens is None else np.minimum(lengths, self.max_tokens)

    @override
    def training_batches(self, dataset: BatchedDataset) -> Sampler[np.ndarray]:
        if self.max_tokens is None:
            return super().training_batches(dataset)
        rank, world_size = self._rank_and_world_size()
        return TokenBudgetBatches(
            lengths=self._lengths(dataset),
            max_tokens=self.max_tokens,
            batch_size=self.batch_size,
            seed=self._seed,
            rank=rank,
            world_size=world_size,
            position=self._position,
        )

    @override
    def evaluation_batches(self, dataset: BatchedDataset) -> Sampler[np.ndarray]:
        rank, world_size = self._rank_and_world_size()
        return SortedBatches(
            lengths=self._lengths(dataset),
            max_tokens=self.max_tokens,
            batch_size=self.eval_batch_size,
            rank=rank,
            world_size=world_size,
        )
