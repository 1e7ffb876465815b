"""Metrics: weighted mean and weighted quantile loss (WQL), which torchmetrics lacks."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric


class WeightedMean(Metric):
    """Weighted mean, exact over batches of any size and over processes; NaN propagates.

    torchmetrics 1.9's `MeanMetric` drops NaN with a warning, or, with `nan_strategy="disable"`, drops the weights.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False
    total: Tensor
    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", default=torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("weight", default=torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, value: Tensor, weight: float) -> None:
        """Adds a scalar that is a mean over `weight` samples; weight 0 leaves the mean unchanged."""
        if weight == 0:
            return
        self.total += value.detach().to(self.total.dtype) * weight
        self.weight += weight

    def compute(self) -> Tensor:
        """The mean over all samples."""
        return self.total / self.weight


class WeightedQuantileLoss(Metric):
    """WQL: twice the sum of quantile losses over the sum of absolute targets, averaged over levels; in raw units.

    The score of probabilistic forecasting benchmarks (Park et al., 2022; Gneiting & Raftery, 2007). They use the levels
    .1 to .9; of the forecast's levels only those count here.

    Args:
        quantiles: Levels of the forecasts, ascending.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    loss: Tensor
    size: Tensor
    levels: Tensor

    def __init__(self, *, quantiles: Sequence[float]) -> None:
        super().__init__()
        scored = [index for index, level in enumerate(quantiles) if round(10 * level, 6) in range(1, 10)]
        if not scored:
            raise ValueError(f"quantiles: {list(quantiles)} given, at least one of 0.1, 0.2, ..., 0.9 is needed")
        self.scored = scored
        self.register_buffer("levels", torch.tensor([quantiles[index] for index in scored]), persistent=False)
        self.add_state("loss", default=torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("size", default=torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, forecast: Tensor, target: Tensor) -> None:
        """Adds forecasts (..., Q) of targets (...)."""
        error = target.unsqueeze(-1) - forecast[..., self.scored]
        pinball = torch.maximum(self.levels * error, (self.levels - 1) * error)
        self.loss += 2 * pinball.double().sum() / len(self.scored)
        self.size += target.double().abs().sum()

    def compute(self) -> Tensor:
        """The loss relative to the sum of absolute targets."""
        return (self.loss / self.size).float()
