"""TabularTask, the meaning of a network's outputs: loss, predictions in raw units, metrics."""

from abc import ABC, abstractmethod

from torch import Tensor, nn
from torchmetrics import MetricCollection


class TabularTask(nn.Module, ABC):
    """Meaning of the outputs (B, output_size) of a network.

    Attributes:
        name: Name of the task in packages.
        answer: Name of the predictions in tables and packages.
    """

    name: str
    answer: str

    @property
    @abstractmethod
    def output_size(self) -> int:
        """Outputs of the network per row."""

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 if numbers are predicted."""
        return 0

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Takes mean and standard deviation of the training targets, both scalars; classes have none.

        Args:
            mean: Mean.
            std: Standard deviation; 1 for a constant.
        """

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss.

        Args:
            outputs: Of the network, (B, output_size).
            targets: Raw units float32 (B,), or classes int64 (B,).
        """

    @abstractmethod
    def predict(self, outputs: Tensor) -> Tensor:
        """Predictions: raw units (B,), or probabilities (B, num_classes).

        Args:
            outputs: Of the network, (B, output_size).
        """

    @abstractmethod
    def outputs_of(self, predictions: Tensor) -> Tensor:
        """Outputs of the network, (B, output_size), from its predictions; inverse of `predict`.

        Args:
            predictions: Raw units (B,), or probabilities (B, num_classes).
        """

    @abstractmethod
    def errors(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """One error per row, lower is better, (B,).

        Args:
            predictions: As of `predict`.
            targets: As in `loss`.
        """

    @abstractmethod
    def metrics(self) -> MetricCollection:
        """Metrics of predictions and targets."""
