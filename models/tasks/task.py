"""TabularTask, the meaning of a network's outputs: loss, predictions in raw units, metrics."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, TypeAlias

from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

Heads: TypeAlias = Mapping[str, int]
"""Labels of a data module with several, in their order, with their number of classes; 0 of a number."""
Predictions: TypeAlias = Tensor | Mapping[str, Tensor]
"""Predictions of a task, or of its heads by name `HEAD.probabilities` or `HEAD.prediction`."""


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

    @property
    def error_scale(self) -> float:
        """By what `errors` are divided where they are averaged with those of other tasks."""
        return 1.0

    def check_heads(self, heads: Heads | None) -> None:
        """Raises unless the labels of the data are those of the task.

        Args:
            heads: The labels; None if there is a single one.

        Raises:
            ValueError: They are not.
        """
        if heads is not None:
            raise ValueError(
                f"model.task: {type(self).__name__} predicts one label, but data.label has {', '.join(heads)}; take "
                "MultiTask, or MultiLabel for labels of two values each"
            )

    def decisions(self, predictions: Predictions) -> dict[str, Tensor]:
        """What is answered by name `decided` or `HEAD.decided`, see `decide`; empty of numbers.

        Args:
            predictions: As of `predict`.
        """
        assert isinstance(predictions, Tensor)
        return {"decided": self.decide(predictions)} if self.answer == "probabilities" else {}

    def learn(self, statistics: Mapping[str, Tensor]) -> None:
        """Takes what the task needs of the statistics of the training rows, before the first training step.

        Args:
            statistics: Of the data module: `target_mean` and `target_std` of numbers, `class_counts` of classes (C,).
        """
        if "target_mean" in statistics:
            self.set_statistics(statistics["target_mean"], statistics["target_std"])

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
    def predict(self, outputs: Tensor) -> Any:
        """Predictions: raw units (B,), or probabilities (B, num_classes); of several heads, a dict of them.

        Args:
            outputs: Of the network, (B, output_size).
        """

    @abstractmethod
    def outputs_of(self, predictions: Any) -> Tensor:
        """Outputs of the network, (B, output_size), from its predictions; inverse of `predict`.

        Args:
            predictions: Raw units (B,), or probabilities (B, num_classes).
        """

    def decide(self, predictions: Tensor) -> Tensor:
        """What is answered: the index of a class (B,), or whether each label holds, bool (B, K).

        Args:
            predictions: Probabilities, as of `predict`.

        Raises:
            NotImplementedError: The task predicts numbers.
        """
        raise NotImplementedError(f"{type(self).__name__} predicts no classes")

    def threshold_metrics(self) -> Mapping[str, Metric]:
        """Metrics whose value after a validation is the decision thresholds, by head; empty without a rule."""
        return {}

    def set_thresholds(self, thresholds: Mapping[str, Tensor]) -> None:
        """Takes decision thresholds that were chosen on validation, (K,) by head."""

    def thresholds(self) -> Mapping[str, Tensor]:
        """The decision thresholds, (K,) by head, "" of a task with a single one; empty without a rule."""
        return {}

    def describe_thresholds(self) -> list[str]:
        """Decision thresholds in words, for reports; empty without a rule."""
        rule = getattr(self, "threshold_rule", None)
        values = self.thresholds().get("")
        if rule is None or values is None:
            return []
        shown = ", ".join(f"{value:.4g}" for value in values.tolist())
        return [f"decision threshold: {shown} ({rule.describe()}, chosen on validation)"]

    @abstractmethod
    def errors(self, predictions: Any, targets: Tensor) -> Tensor:
        """One error per row, lower is better, (B,).

        Args:
            predictions: As of `predict`.
            targets: As in `loss`.
        """

    @abstractmethod
    def metrics(self) -> MetricCollection:
        """Metrics of predictions and targets."""
