"""Regression and Counts, the tasks that predict one number per row."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, MeanSquaredError, MetricCollection
from torchmetrics.regression import TweedieDevianceScore
from typing_extensions import override

from models.tasks.task import TabularTask


class Regression(TabularTask):
    """A number; the network predicts it in deviations from the mean of the training rows.

    Args:
        loss: (outputs, targets), both standardised (B,), -> mean loss, e.g. `torch.nn.L1Loss` or `torch.nn.HuberLoss`;
            None for the squared error.
    """

    name = "tabular_regression"
    answer = "prediction"
    target_mean: Tensor
    target_std: Tensor

    def __init__(self, *, loss: nn.Module | None = None) -> None:
        super().__init__()
        self.criterion = loss or nn.MSELoss()
        self.register_buffer("target_mean", torch.zeros(()))
        self.register_buffer("target_std", torch.ones(()))

    @property
    @override
    def output_size(self) -> int:
        return 1

    @override
    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        self.target_mean.copy_(mean)
        self.target_std.copy_(std)

    @override
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self.criterion(outputs.squeeze(-1), (targets - self.target_mean) / self.target_std)

    @override
    def predict(self, outputs: Tensor) -> Tensor:
        return outputs.squeeze(-1) * self.target_std + self.target_mean

    @override
    def outputs_of(self, predictions: Tensor) -> Tensor:
        return ((predictions - self.target_mean) / self.target_std).unsqueeze(-1)

    @override
    def errors(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return (predictions - targets).abs()

    @property
    @override
    def error_scale(self) -> float:
        return float(self.target_std)

    @override
    def metrics(self) -> MetricCollection:
        return MetricCollection({"mae": MeanAbsoluteError(), "rmse": MeanSquaredError(squared=False)})


class Counts(TabularTask):
    """A count, 0 or more; the network predicts the logarithm of its Poisson rate, less that of the mean training count.

    The prediction is the rate, the expected count.
    """

    name = "tabular_counts"
    answer = "prediction"
    log_mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("log_mean", torch.zeros(()))

    @property
    @override
    def output_size(self) -> int:
        return 1

    @override
    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        if mean <= 0:
            raise ValueError(
                f"model.task: Counts needs counts from 0 with some above it, the mean of the training rows is "
                f"{float(mean):g}; take Regression"
            )
        self.log_mean.copy_(mean.log())

    @override
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if not torch.compiler.is_exporting() and (targets < 0).any():
            raise ValueError(f"model.task: Counts got the label {float(targets.min()):g}, counts are 0 or more")
        return F.poisson_nll_loss(outputs.squeeze(-1) + self.log_mean, targets, log_input=True)

    @override
    def predict(self, outputs: Tensor) -> Tensor:
        return (outputs.squeeze(-1) + self.log_mean).exp()

    @override
    def outputs_of(self, predictions: Tensor) -> Tensor:
        tiny = torch.finfo(predictions.dtype).tiny
        return (predictions.clamp_min(tiny).log() - self.log_mean).unsqueeze(-1)

    @override
    def errors(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return (predictions - targets).abs()

    @property
    @override
    def error_scale(self) -> float:
        return float(self.log_mean.exp())

    @override
    def metrics(self) -> MetricCollection:
        return MetricCollection(
            {
                "mae": MeanAbsoluteError(),
                "rmse": MeanSquaredError(squared=False),
                "poisson_deviance": TweedieDevianceScore(power=1.0),
            }
        )
