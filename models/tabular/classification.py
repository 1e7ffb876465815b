"""BinaryClassification and MulticlassClassification, the tasks that predict one class per row."""

import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassAUROC, MulticlassF1Score
from typing_extensions import override

from models.tabular.task import TabularTask


class _Classification(TabularTask):
    answer = "probabilities"

    @override
    def errors(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return 1.0 - (predictions.argmax(dim=-1) == targets).double()

    @override
    def metrics(self) -> MetricCollection:
        num_classes = self.num_classes
        return MetricCollection(
            {
                "accuracy": MulticlassAccuracy(num_classes, average="micro"),
                "macro_f1": MulticlassF1Score(num_classes, average="macro"),
                "auroc": MulticlassAUROC(num_classes, average="macro"),
            }
        )


class BinaryClassification(_Classification):
    """One of two classes; the network predicts one logit, that of the second class.

    Args:
        loss: (logits (B,), targets float32 (B,)) -> mean loss, e.g. `FocalLoss` with `task: binary`; None for the
            cross-entropy.
    """

    name = "tabular_classification"

    def __init__(self, *, loss: nn.Module | None = None) -> None:
        super().__init__()
        self.criterion = loss or nn.BCEWithLogitsLoss()

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
        return self.criterion(outputs.squeeze(-1), targets.to(outputs.dtype))

    @override
    def predict(self, outputs: Tensor) -> Tensor:
        return torch.cat([-outputs, outputs], dim=-1).sigmoid()

    @override
    def outputs_of(self, predictions: Tensor) -> Tensor:
        negative, positive = predictions.clamp_min(torch.finfo(predictions.dtype).tiny).log().split(1, dim=-1)
        return positive - negative


class MulticlassClassification(_Classification):
    """One of several classes; the network predicts a logit for each.

    Args:
        num_classes: Number of classes, C.
        loss: (logits (B, C), targets int64 (B,)) -> mean loss; None for the cross-entropy.
    """

    name = "tabular_classification"

    def __init__(self, *, num_classes: int, loss: nn.Module | None = None) -> None:
        if num_classes < 3:
            known = "the label is a number: take Regression" if not num_classes else "take BinaryClassification"
            raise ValueError(f"model.task.num_classes: {num_classes} given, at least 3 are needed; {known}")
        super().__init__()
        self._num_classes = num_classes
        self.criterion = loss or nn.CrossEntropyLoss()

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
        return self.criterion(outputs, targets)

    @override
    def predict(self, outputs: Tensor) -> Tensor:
        return outputs.softmax(dim=-1)

    @override
    def outputs_of(self, predictions: Tensor) -> Tensor:
        return predictions.clamp_min(torch.finfo(predictions.dtype).tiny).log()
