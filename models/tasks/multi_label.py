"""MultiLabel, the task of several labels of which any number may hold."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from typing_extensions import override

from models.tasks.class_weights import ClassWeights, balanced_weights, given_weights, one_loss_per_row
from models.tasks.decision_metrics import ChosenThreshold, DecisionMetric, ProbabilityScore, RankingScore
from models.tasks.task import Heads, TabularTask
from models.tasks.threshold_rules import ThresholdRule


class MultiLabel(TabularTask):
    """Several labels of which any number may hold; the network predicts a logit for each.

    A label that is unknown in a row is left out of loss and metrics.

    Args:
        num_labels: Number of labels, K; the data module knows it.
        loss: A loss with `reduction`, of logits and targets 0 or 1, e.g. `FocalLoss` with `task: multilabel`; None for
            the cross-entropy.
        class_weights: Weight of the rows of which a label holds, one number per label, or `balanced`: both kinds of
            rows of a label weigh alike. None weighs all alike.
        threshold: Rule that chooses, after each validation, the probability of each label above which it is answered.
            None takes 0.5 for all.
    """

    name = "tabular_multilabel"
    answer = "probabilities"
    class_weights: Tensor
    threshold: Tensor

    def __init__(
        self,
        *,
        num_labels: int,
        loss: nn.Module | None = None,
        class_weights: ClassWeights | None = None,
        threshold: ThresholdRule | None = None,
    ) -> None:
        super().__init__()
        if num_labels < 2:
            raise ValueError(
                f"model.task.num_labels: {num_labels} given, at least 2 are needed: `data.label: [a, b]`, or a column "
                "of lists; for a single label take BinaryClassification"
            )
        self.num_labels = num_labels
        self.criterion = one_loss_per_row(loss or nn.BCEWithLogitsLoss())
        self.balanced = class_weights == "balanced"
        weights = torch.ones(num_labels, 2)
        if class_weights is not None and not isinstance(class_weights, str):
            weights[:, 1] = given_weights(class_weights, size=num_labels, of="label")
        self.register_buffer("class_weights", weights)
        self.threshold_rule = threshold
        self.register_buffer("threshold", torch.full((num_labels,), 0.5))

    @property
    @override
    def output_size(self) -> int:
        return self.num_labels

    @override
    def check_heads(self, heads: Heads | None) -> None:
        if heads is None:
            raise ValueError("model.task: MultiLabel given, but data.label is a single label; name several")
        others = [name for name, num_classes in heads.items() if num_classes != 2]
        if others:
            raise ValueError(
                f"model.task: MultiLabel given, but {', '.join(others)} of data.label has other than two classes; "
                "take MultiTask"
            )

    @override
    def learn(self, statistics: Mapping[str, Tensor]) -> None:
        if self.balanced:
            counts = [value for name, value in statistics.items() if name.endswith("/class_counts")]
            self.class_weights.copy_(balanced_weights(torch.stack(counts)))

    @override
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        known = ~targets.isnan()
        positive = targets.nan_to_num(nan=0.0)
        weights = torch.where(positive > 0, self.class_weights[:, 1], self.class_weights[:, 0])
        return (self.criterion(outputs, positive) * weights * known).sum() / targets.numel()

    @override
    def predict(self, outputs: Tensor) -> Tensor:
        return outputs.sigmoid()

    @override
    def outputs_of(self, predictions: Tensor) -> Tensor:
        return predictions.double().logit(eps=1e-12).to(predictions.dtype)

    @override
    def decide(self, predictions: Tensor) -> Tensor:
        return predictions > self.threshold

    @override
    def errors(self, predictions: Tensor, targets: Tensor) -> Tensor:
        known = ~targets.isnan()
        wrong = (self.decide(predictions) != (targets > 0)) & known
        return wrong.sum(dim=1).double() / known.sum(dim=1).clamp_min(1)

    @override
    def threshold_metrics(self) -> Mapping[str, Metric]:
        return {} if self.threshold_rule is None else {"": ChosenThreshold(self.threshold_rule)}

    @override
    def set_thresholds(self, thresholds: Mapping[str, Tensor]) -> None:
        self.threshold.copy_(thresholds[""])

    @override
    def thresholds(self) -> Mapping[str, Tensor]:
        return {"": self.threshold}

    @override
    def metrics(self) -> MetricCollection:
        threshold = self.threshold.detach().clone()
        decisions: Sequence[tuple[str, str]] = (
            ("accuracy", "accuracy"), ("exact_match", "exact_match"), ("macro_f1", "f1"),
            ("macro_precision", "precision"), ("macro_recall", "recall"),
        )  # fmt: skip
        return MetricCollection(
            {
                **{name: DecisionMetric(kind, threshold) for name, kind in decisions},
                "auroc": RankingScore("auroc"),
                "average_precision": RankingScore("average_precision"),
                "brier": ProbabilityScore("brier"),
                "log_loss": ProbabilityScore("log_loss"),
            }
        )
