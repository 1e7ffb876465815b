"""BinaryClassification and MulticlassClassification, the tasks that predict one class per row."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassAveragePrecision,
    MulticlassF1Score,
)
from typing_extensions import override

from models.tasks.class_weights import ClassWeights, balanced_weights, given_weights, one_loss_per_row
from models.tasks.decision_metrics import (
    ChosenThreshold,
    DecisionMetric,
    ProbabilityScore,
    RankingOfClasses,
    RankingScore,
)
from models.tasks.task import TabularTask
from models.tasks.threshold_rules import ThresholdRule


class _Classification(TabularTask):
    answer = "probabilities"
    class_weights: Tensor

    def __init__(self, *, criterion: nn.Module, class_weights: ClassWeights | None, num_classes: int) -> None:
        super().__init__()
        self.balanced = class_weights == "balanced"
        self.weighted = class_weights is not None
        self.criterion = criterion if class_weights is None else one_loss_per_row(criterion)
        if class_weights is not None:  # no buffer without weights: older checkpoints have none
            given = torch.ones(num_classes)
            if not isinstance(class_weights, str):
                given = given_weights(class_weights, size=num_classes, of="class")
            self.register_buffer("class_weights", given)

    @override
    def learn(self, statistics: Mapping[str, Tensor]) -> None:
        if self.balanced:
            self.class_weights.copy_(balanced_weights(statistics["class_counts"]))

    def _mean(self, losses: Tensor, targets: Tensor) -> Tensor:
        """Mean of what the criterion returns, weighted by the classes of the rows."""
        return (self.class_weights[targets.long()] * losses).mean() if self.weighted else losses

    @override
    def decide(self, predictions: Tensor) -> Tensor:
        return predictions.argmax(dim=-1)

    @override
    def errors(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return 1.0 - (self.decide(predictions) == targets).double()


class BinaryClassification(_Classification):
    """One of two classes; the network predicts one logit, that of the second class.

    Args:
        loss: (logits (B,), targets float32 (B,)) -> mean loss, e.g. `FocalLoss` with `task: binary`; None for the
            cross-entropy.
        class_weights: Weight of each of the two classes in the loss, or `balanced`: by their frequencies among the
            training rows, so that both weigh alike. None weighs all rows alike.
        threshold: Rule that chooses, after each validation, the probability of the second class above which it is
            answered, e.g. `models.tasks.MaxF1`. The checkpoint keeps it, and so does its package. None answers the
            likelier class.
    """

    name = "tabular_classification"
    threshold: Tensor

    def __init__(
        self,
        *,
        loss: nn.Module | None = None,
        class_weights: ClassWeights | None = None,
        threshold: ThresholdRule | None = None,
    ) -> None:
        super().__init__(criterion=loss or nn.BCEWithLogitsLoss(), class_weights=class_weights, num_classes=2)
        self.threshold_rule = threshold
        if threshold is not None:
            self.register_buffer("threshold", torch.full((1,), 0.5))

    @property
    @override
    def output_size(self) -> int:
        return 1

    @property
    @override
    def num_classes(self) -> int:
        return 2

    @override
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self._mean(self.criterion(outputs.squeeze(-1), targets.to(outputs.dtype)), targets)

    @override
    def predict(self, outputs: Tensor) -> Tensor:
        return torch.cat([-outputs, outputs], dim=-1).sigmoid()

    @override
    def outputs_of(self, predictions: Tensor) -> Tensor:
        negative, positive = predictions.clamp_min(torch.finfo(predictions.dtype).tiny).log().split(1, dim=-1)
        return positive - negative

    @override
    def decide(self, predictions: Tensor) -> Tensor:
        if self.threshold_rule is None:
            return super().decide(predictions)
        return (predictions[:, 1] > self.threshold).long()

    @override
    def threshold_metrics(self) -> Mapping[str, Metric]:
        return {} if self.threshold_rule is None else {"": ChosenThreshold(self.threshold_rule)}

    @override
    def set_thresholds(self, thresholds: Mapping[str, Tensor]) -> None:
        self.threshold.copy_(thresholds[""])

    @override
    def thresholds(self) -> Mapping[str, Tensor]:
        return {} if self.threshold_rule is None else {"": self.threshold}

    @override
    def metrics(self) -> MetricCollection:
        threshold = None if self.threshold_rule is None else self.threshold.detach().clone()
        decisions: dict[str, Metric] = {"accuracy": MulticlassAccuracy(2, average="micro")}
        decisions["macro_f1"] = MulticlassF1Score(2, average="macro")
        if self.threshold_rule is not None:
            kinds = ("accuracy", "macro_f1", "balanced_accuracy")
            decisions = {kind: DecisionMetric(kind, threshold) for kind in kinds}
        of_second = {kind: DecisionMetric(kind, threshold) for kind in ("f1", "precision", "recall")}
        return MetricCollection(
            {
                **decisions,
                **of_second,
                "auroc": RankingScore("auroc"),
                "average_precision": AveragePrecision(),
                "brier": ProbabilityScore("brier"),
                "log_loss": ProbabilityScore("log_loss"),
            }
        )


class AveragePrecision(MulticlassAveragePrecision):
    """Average precision of the second of two classes: the area under its precision-recall curve."""

    def __init__(self) -> None:
        super().__init__(2, average=None)

    @override
    def compute(self) -> Tensor:  # type: ignore[override]  # the base class declares the curve of its own base
        return super().compute()[1]  # type: ignore[return-value]


class MulticlassClassification(_Classification):
    """One of several classes; the network predicts a logit for each.

    Args:
        num_classes: Number of classes, C.
        loss: (logits (B, C), targets int64 (B,)) -> mean loss; None for the cross-entropy.
        class_weights: Weight of each class in the loss, or `balanced`: by their frequencies among the training rows, so
            that all weigh alike. None weighs all rows alike.
    """

    name = "tabular_classification"

    def __init__(
        self, *, num_classes: int, loss: nn.Module | None = None, class_weights: ClassWeights | None = None
    ) -> None:
        if num_classes < 3:
            known = "the label is a number: take Regression" if not num_classes else "take BinaryClassification"
            raise ValueError(f"model.task.num_classes: {num_classes} given, at least 3 are needed; {known}")
        super().__init__(criterion=loss or nn.CrossEntropyLoss(), class_weights=class_weights, num_classes=num_classes)
        self._num_classes = num_classes

    @property
    @override
    def output_size(self) -> int:
        return self._num_classes

    @property
    @override
    def num_classes(self) -> int:
        return self._num_classes

    @override
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self._mean(self.criterion(outputs, targets), targets)

    @override
    def predict(self, outputs: Tensor) -> Tensor:
        return outputs.softmax(dim=-1)

    @override
    def outputs_of(self, predictions: Tensor) -> Tensor:
        return predictions.clamp_min(torch.finfo(predictions.dtype).tiny).log()

    @override
    def metrics(self) -> MetricCollection:
        num_classes = self.num_classes
        return MetricCollection(
            {
                "accuracy": MulticlassAccuracy(num_classes, average="micro"),
                "macro_f1": MulticlassF1Score(num_classes, average="macro"),
                "balanced_accuracy": MulticlassAccuracy(num_classes, average="macro"),
                "auroc": RankingOfClasses("auroc"),
                "average_precision": RankingOfClasses("average_precision"),
                "brier": ProbabilityScore("brier"),
                "log_loss": ProbabilityScore("log_loss"),
            }
        )
