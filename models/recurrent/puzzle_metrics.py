"""How often a puzzle is solved, and whether the model knows."""

from abc import abstractmethod

import torch
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import override


class _Share(Metric):
    """Hits over chances, counted exactly over batches and processes."""

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
        """Which of the chances in a batch are hits, bool."""

    def update(self, right: Tensor, claimed: Tensor) -> None:
        """Adds a batch.

        Args:
            right: bool (B, N, L), the cells that are right after each of N supervision steps.
            claimed: bool (B,), whether the model takes its final answer to be right.
        """
        hits = self.hits_among(right, claimed)
        self.hits += hits.sum()
        self.chances += hits.numel()

    def compute(self) -> Tensor:
        """The share."""
        return self.hits / self.chances


class ExactAccuracy(_Share):
    """Share of the puzzles with every cell right.

    Args:
        step: After which supervision step, counted from 0.
    """

    def __init__(self, *, step: int = -1) -> None:
        super().__init__()
        self.step = step

    @override
    def hits_among(self, right: Tensor, claimed: Tensor) -> Tensor:
        return right[:, self.step].all(dim=-1)


class CellAccuracy(_Share):
    """Share of the cells that are right in the end."""

    @override
    def hits_among(self, right: Tensor, claimed: Tensor) -> Tensor:
        return right[:, -1]


class QAccuracy(_Share):
    """Share of the puzzles of which the model knows whether its final answer is right."""

    @override
    def hits_among(self, right: Tensor, claimed: Tensor) -> Tensor:
        return claimed == right[:, -1].all(dim=-1)
