"""Objective: the loss of a task in words that boosting libraries share."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import nn

from models.tasks.classification import BinaryClassification, MulticlassClassification
from models.tasks.regression import Counts, Regression
from models.tasks.task import TabularTask

Name = Literal["binary", "multiclass", "squared", "absolute", "huber", "poisson"]


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Loss that trees are fitted to.

    Attributes:
        name: `binary` is the cross-entropy of one logit, `poisson` the likelihood of a logarithm of a rate.
        num_outputs: Outputs per row.
        delta: Of the Huber loss: errors above it count linearly.
    """

    name: Name
    num_outputs: int = 1
    delta: float = 1.0

    def base(self, targets: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        """The best constant outputs, float64 (num_outputs,).

        Args:
            targets: Of the training rows, (N,).
            weights: Of these rows; None for equal ones.
        """
        if self.name == "multiclass":
            counts = np.bincount(targets.astype(np.int64), weights=weights, minlength=self.num_outputs)
            return np.log(np.maximum(counts, 1.0) / max(1.0, counts.sum()))
        if self.name in ("absolute", "huber"):
            return np.array([np.median(targets)])
        mean = np.average(targets, weights=weights)
        if self.name == "binary":
            share = np.clip(mean, 1e-6, 1 - 1e-6)
            return np.array([np.log(share / (1 - share))])
        return np.array([np.log(max(mean, 1e-6)) if self.name == "poisson" else mean])

    @classmethod
    def of(cls, task: TabularTask) -> "Objective":
        """The objective of a task.

        Raises:
            ValueError: Trees are not fitted to its loss.
        """
        criterion = getattr(task, "criterion", None)
        for name in ("weight", "pos_weight", "label_smoothing"):
            if getattr(criterion, name, None) not in (None, 0.0):
                raise ValueError(f"model.task: a loss with {name} given; for trees take class_weights of the task")
        if isinstance(task, BinaryClassification) and isinstance(criterion, nn.BCEWithLogitsLoss):
            return cls(name="binary")
        if isinstance(task, MulticlassClassification) and isinstance(criterion, nn.CrossEntropyLoss):
            return cls(name="multiclass", num_outputs=task.num_classes)
        if isinstance(task, Counts):
            return cls(name="poisson")
        if isinstance(task, Regression):
            if isinstance(criterion, nn.MSELoss):
                return cls(name="squared")
            if isinstance(criterion, nn.L1Loss):
                return cls(name="absolute")
            if isinstance(criterion, nn.HuberLoss):
                return cls(name="huber", delta=criterion.delta)
        loss = f" with the loss {type(criterion).__name__}" if criterion is not None else ""
        raise ValueError(
            f"model.task: {type(task).__name__}{loss} given; trees are fitted for BinaryClassification and "
            "MulticlassClassification with the cross-entropy, Counts, and Regression with MSELoss, L1Loss or HuberLoss"
        )
