"""Metrics of finding one link among candidates of its own."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torchmetrics import Metric


class RankingMetric(Metric, ABC):
    """The mean, over links, of what a link's rank among its candidates is worth; exact over batches and processes.

    A link that ties with candidates gets the mean of the ranks they share: 1 plus how many score higher, plus half of
    how many score the same. A model that gives one score to all is thus in the middle, not first. NaN is held
    against it: a link scored NaN is last, and a candidate scored NaN comes before the link.
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
        """What ranks float32 (P,), from 1, are worth, (P,)."""

    def update(self, scores: Tensor, targets: Tensor) -> None:
        """Adds links.

        Args:
            scores: (P, C), of each link's candidates, the link among them.
            targets: int64 (P,), where the link stands.
        """
        own = scores.gather(1, targets.unsqueeze(1))  # (P, 1)
        not_lower = (~(scores < own)).sum(1) - 1  # without the link itself
        same = ((scores == own).sum(1) - 1).clamp(min=0)  # NaN does not even equal itself
        self.total += self.worth(1 + not_lower - same / 2).double().sum()
        self.count += len(scores)

    def compute(self) -> Tensor:
        """The mean over all links."""
        return (self.total / self.count).float()


class MeanReciprocalRank(RankingMetric):
    """Mean of one over the rank."""

    def worth(self, rank: Tensor) -> Tensor:
        """One over the rank."""
        return 1 / rank


class HitsAt(RankingMetric):
    """Share of links among the first ones.

    Args:
        last: The last rank that is a hit.
    """

    def __init__(self, last: int) -> None:
        super().__init__()
        self.last = last

    def worth(self, rank: Tensor) -> Tensor:
        """1 for a hit, else 0."""
        return (rank <= self.last).float()
