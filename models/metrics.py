"""Metrics that torchmetrics lacks."""

import torch
from torch import Tensor
from torchmetrics import Metric


class WeightedMean(Metric):
    """Mean of values with weights, exact over batches of any size and over processes; NaN stays NaN.

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
        """Adds a scalar value that is a mean over `weight` samples; the mean of none says nothing."""
        if weight == 0:
            return
        self.total += value.detach().to(self.total.dtype) * weight
        self.weight += weight

    def compute(self) -> Tensor:
        """The mean over all samples."""
        return self.total / self.weight
