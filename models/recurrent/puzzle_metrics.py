"""Puzzle metrics: exact accuracy, cell accuracy, and accuracy of the model's confidence."""

from abc import abstractmethod

import torch
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import override


class _Share(Metric):
    """Ratio of hits to chances, counted exactly over batches and processes."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    hits: Tensor
    chances: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("hits", "chances"):
            self.add_state(name, default=torch.tensor(0), dist_reduce_fx="sum")

    @abstractmethod
    def hits_among(self, right: Tensor, claimed: Tensor) -> Tensor:
        """Marks the hits among the chances of a batch, bool."""

    def update(self, right: Tensor, claimed: Tensor) -> None:
        """Adds a batch.

        Args:
            right: bool (B, N, L), correct cells after each of N supervision steps.
            claimed: bool (B,), whether the model predicts that its final answer is correct.
        """
        hits = self.hits_among(right, claimed)
        self.hits += hits.sum()
        self.chances += hits.numel()

    def compute(self) -> Tensor:
        """Hits over chances."""
        return self.hits / self.chances


class ExactAccuracy(_Share):
    """Fraction of puzzles with every cell correct.

    Args:
        step: Index of the supervision step to evaluate.
    """

    def __init__(self, *, step: int = -1) -> None:
        super().__init__()
        self.step = step

    @override
    def hits_among(self, right: Tensor, claimed: Tensor) -> Tensor:
        return right[:, self.step].all(dim=-1)


class CellAccuracy(_Share):
    """Fraction of cells that are correct after the last step."""

    @override
    def hits_among(self, right: Tensor, claimed: Tensor) -> Tensor:
        return right[:, -1]


class QAccuracy(_Share):
    """Fraction of puzzles for which the model predicts correctly whether its final answer is correct."""

    @override
    def hits_among(self, right: Tensor, claimed: Tensor) -> Tensor:
        return claimed == right[:, -1].all(dim=-1)
