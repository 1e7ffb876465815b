"""Ranking metrics of link prediction: mean reciprocal rank and hits."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torchmetrics import Metric


class RankingMetric(Metric, ABC):
    """Mean over links of a function of the link's rank among its candidates; exact over batches and processes.

    Ties get the mean of the tied ranks: 1 plus the number of higher scores plus half the number of equal scores, so a
    model that scores all candidates alike ranks in the middle. NaN counts against the model: a link with score NaN is
    last, and a candidate with score NaN ranks before the link.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", default=torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", default=torch.tensor(0), dist_reduce_fx="sum")

    @abstractmethod
    def worth(self, rank: Tensor) -> Tensor:
        """Contribution (P,) of links with ranks float32 (P,), counted from 1."""

    def update(self, scores: Tensor, targets: Tensor) -> None:
        """Adds links.

        Args:
            scores: (P, C), scores of each link's candidates, the link included.
            targets: int64 (P,), column of the link.
        """
        own = scores.gather(1, targets.unsqueeze(1))  # (P, 1)
        not_lower = (~(scores < own)).sum(1) - 1  # without the link itself
        same = ((scores == own).sum(1) - 1).clamp(min=0)  # clamp: NaN does not equal itself
        self.total += self.worth(1 + not_lower - same / 2).double().sum()
        self.count += len(scores)

    def compute(self) -> Tensor:
        """The mean over all links."""
        return (self.total / self.count).float()


class MeanReciprocalRank(RankingMetric):
    """Mean reciprocal rank (MRR)."""

    def worth(self, rank: Tensor) -> Tensor:
        """Reciprocal rank."""
        return 1 / rank


class HitsAt(RankingMetric):
    """Hits@k: fraction of links with rank k or better.

    Args:
        last: k.
    """

    def __init__(self, last: int) -> None:
        super().__init__()
        self.last = last

    def worth(self, rank: Tensor) -> Tensor:
        """1 for a hit, else 0."""
        return (rank <= self.last).float()
