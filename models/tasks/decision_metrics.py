"""Decision metrics: accuracy, precision, recall and F1 of the classes that are answered at a decision threshold."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_auroc, binary_average_precision
from torchmetrics.utilities import dim_zero_cat
from typing_extensions import override

from models.tasks.threshold_rules import ThresholdRule


class _Scores(Metric):
    """Probabilities of labels and whether they hold, kept until the end; rows whose label is unknown are left out."""

    is_differentiable = False
    higher_is_better: bool | None = True
    full_state_update = False
    scores: list[Tensor]
    truth: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("scores", default=[], dist_reduce_fx="cat")
        self.add_state("truth", default=[], dist_reduce_fx="cat")

    @override
    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """Adds rows.

        Args:
            predictions: Probabilities of two classes with classes as targets, (B, 2), or of K labels, (B, K).
            targets: int64 (B,), or 0, 1 and NaN, (B, K).
        """
        if targets.ndim == 1:
            predictions, targets = predictions[:, 1:], targets.unsqueeze(-1)
        self.scores.append(predictions)
        self.truth.append(targets.to(predictions.dtype))

    def labels(self) -> tuple[Tensor, Tensor]:
        """All scores and truths, (N, K)."""
        return dim_zero_cat(self.scores), dim_zero_cat(self.truth)


class ChosenThreshold(_Scores):
    """The thresholds, one per label, (K,), that a rule chooses on the rows of validation.

    Args:
        rule: The rule.
    """

    higher_is_better = None

    def __init__(self, rule: ThresholdRule) -> None:
        super().__init__()
        self.rule = rule

    @override
    def compute(self) -> Tensor:
        scores, truth = self.labels()
        return torch.stack(
            [
                self.rule.choose(of_label[known], truth_of_label[known] > 0)
                for of_label, truth_of_label in zip(scores.T, truth.T, strict=True)
                for known in [~truth_of_label.isnan()]
            ]
        )


class DecisionMetric(_Scores):
    """A metric of what is answered: the mean over labels.

    Args:
        kind: `accuracy`, `balanced_accuracy`, `precision`, `recall` or `f1` of the labels; `macro_f1` is the mean of
            the F1 of a label and of its absence; `exact_match` the share of rows of which all labels are right.
        thresholds: Probability of each label above which it is answered; None for 0.5.
    """

    def __init__(self, kind: str, thresholds: Tensor | None = None) -> None:
        super().__init__()
        self.kind = kind
        self.thresholds = thresholds

    def set_thresholds(self, thresholds: Tensor) -> None:
        """Takes thresholds that were chosen since, (K,)."""
        self.thresholds = thresholds.detach().clone()
        self._computed = None

    @override
    def compute(self) -> Tensor:
        scores, truth = self.labels()
        known, positive = ~truth.isnan(), truth > 0
        thresholds = 0.5 if self.thresholds is None else self.thresholds.to(scores)
        said = scores > thresholds
        if self.kind == "exact_match":
            return ((said == positive) | ~known).all(dim=1)[known.any(dim=1)].float().mean()
        tp, fp, fn, tn = (
            (mask & known).sum(dim=0).double()
            for mask in (said & positive, said & ~positive, ~said & positive, ~said & ~positive)
        )
        return _values(self.kind, tp, fp, fn, tn).float().nanmean()


def _values(kind: str, tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:
    """A metric of each label, (K,); 0 where precision, recall or F1 has nothing in its denominator."""
    if kind == "accuracy":
        return (tp + tn) / (tp + fp + fn + tn)
    if kind == "balanced_accuracy":
        return (tp / (tp + fn) + tn / (tn + fp)) / 2
    f1, f1_of_absence = 2 * tp / (2 * tp + fp + fn), 2 * tn / (2 * tn + fp + fn)
    if kind == "macro_f1":  # a class that is neither there nor answered does not count
        return torch.stack([f1, f1_of_absence]).nanmean(dim=0)
    return {"precision": tp / (tp + fp), "recall": tp / (tp + fn), "f1": f1}[kind].nan_to_num(nan=0.0)


class RankingScore(_Scores):
    """AUROC or average precision of labels: the mean over those that hold in some rows and not in others.

    Args:
        kind: `auroc` or `average_precision`.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    @override
    def compute(self) -> Tensor:
        score = binary_auroc if self.kind == "auroc" else binary_average_precision
        values = []
        for of_label, truth in zip(*(tensor.T for tensor in self.labels()), strict=True):
            known = ~truth.isnan()
            positive = truth[known].long()
            if 0 < positive.sum() < len(positive):
                values.append(score(of_label[known], positive))
        return torch.stack(values).mean() if values else torch.tensor(torch.nan)


class RankingOfClasses(RankingScore):
    """AUROC or average precision of each of several classes against the others: the mean over those that have rows.

    torchmetrics counts the AUROC of a class without rows as 0.
    """

    @override
    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """Adds rows.

        Args:
            predictions: Probabilities (B, C).
            targets: Classes, int64 (B,).
        """
        super().update(predictions, one_hot(targets, predictions.shape[-1]))


class ProbabilityScore(Metric):
    """Mean log loss or Brier score of class probabilities; the Brier score of two classes is halved, as usual.

    Args:
        kind: `log_loss` or `brier`.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    total: Tensor
    rows: Tensor

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.add_state("total", default=torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("rows", default=torch.tensor(0), dist_reduce_fx="sum")

    @override
    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """Adds rows.

        Args:
            predictions: Probabilities of classes with classes as targets, (B, C), or of K labels, (B, K).
            targets: int64 (B,), or 0, 1 and NaN, (B, K).
        """
        if targets.ndim == 2:
            known = ~targets.isnan()
            predictions, targets = predictions[known], targets[known].long()
            predictions = torch.stack([1 - predictions, predictions], dim=-1)
        probabilities = predictions.double()
        of_truth = probabilities.gather(1, targets.unsqueeze(-1)).squeeze(-1)
        if self.kind == "log_loss":
            values = -of_truth.clamp_min(torch.finfo(torch.float32).tiny).log()
        else:
            values = probabilities.square().sum(dim=1) - 2 * of_truth + 1
            values = values / 2 if probabilities.shape[1] == 2 else values
        self.total += values.sum()
        self.rows += len(values)

    @override
    def compute(self) -> Any:
        return (self.total / self.rows).float()
