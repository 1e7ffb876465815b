"""Threshold rules: from which probability on a class is answered, chosen on the rows of validation."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from typing_extensions import override


class ThresholdRule(nn.Module, ABC):
    """Chooses the decision threshold of one class: rows whose probability is above it are answered with the class."""

    @abstractmethod
    def worth(self, *, hits: Tensor, answered: Tensor, positives: int, rows: int) -> Tensor:
        """What each cut is worth, the highest is taken; of equal ones that with the fewest rows answered.

        Args:
            hits: Positive rows among the answered, (K,).
            answered: Rows that are answered with the class, (K,), ascending.
            positives: Positive rows.
            rows: All rows.
        """

    @abstractmethod
    def describe(self) -> str:
        """The rule in words, for reports."""

    def choose(self, scores: Tensor, positive: Tensor) -> Tensor:
        """Threshold between the probabilities of two neighbouring rows, so that rounding moves no row across it.

        Args:
            scores: Probabilities of the class, (N,).
            positive: Whether rows are of the class, bool (N,).

        Returns:
            Scalar float32; 0.5 if all rows are of one kind, on which nothing can be chosen.
        """
        positives, rows = int(positive.sum()), len(scores)
        if not 0 < positives < rows:
            return torch.tensor(0.5)
        ordered, order = scores.double().sort(descending=True)
        hits = positive[order].double().cumsum(dim=0)
        answered = torch.arange(1, rows + 1, dtype=torch.float64, device=scores.device)
        last = torch.cat([ordered[1:] < ordered[:-1], torch.ones(1, dtype=torch.bool, device=scores.device)])
        ends = torch.cat([torch.zeros(1, dtype=torch.long, device=scores.device), last.nonzero().squeeze(-1) + 1])
        zero = torch.zeros(1, dtype=torch.float64, device=scores.device)
        worth = self.worth(
            hits=torch.cat([zero, hits[last]]), answered=torch.cat([zero, answered[last]]),
            positives=positives, rows=rows,
        )  # fmt: skip
        end = int(ends[worth.argmax()])
        above = ordered[end - 1] if end else torch.ones_like(ordered[0])
        below = ordered[end] if end < rows else torch.zeros_like(ordered[0])
        middle = ((above + below) / 2).float()
        return torch.where(middle < above, middle, below.float()).cpu()  # neighbours in float32 have none between them


class MaxF1(ThresholdRule):
    """The highest F1 of the class."""

    @override
    def worth(self, *, hits: Tensor, answered: Tensor, positives: int, rows: int) -> Tensor:
        return 2 * hits / (answered + positives)

    @override
    def describe(self) -> str:
        return "the highest F1"


class MaxBalancedAccuracy(ThresholdRule):
    """The highest balanced accuracy: the mean of the recalls of the class and of all others."""

    @override
    def worth(self, *, hits: Tensor, answered: Tensor, positives: int, rows: int) -> Tensor:
        return hits / positives - (answered - hits) / (rows - positives)

    @override
    def describe(self) -> str:
        return "the highest balanced accuracy"


class PrecisionAtLeast(ThresholdRule):
    """The highest recall among the thresholds that reach a precision; the highest precision where none does.

    Args:
        precision: Share of the answered rows that are to be of the class, above 0 and at most 1.
    """

    def __init__(self, *, precision: float) -> None:
        super().__init__()
        self.precision = _share(precision, "precision")

    @override
    def worth(self, *, hits: Tensor, answered: Tensor, positives: int, rows: int) -> Tensor:
        precision = hits / answered.clamp_min(1)
        reached = (precision >= self.precision - 1e-12) & (hits > 0)
        return torch.where(reached, 1 + hits / positives, precision)

    @override
    def describe(self) -> str:
        return f"the highest recall at a precision of at least {self.precision:g}"


class RecallAtLeast(ThresholdRule):
    """The highest precision among the thresholds that reach a recall.

    Args:
        recall: Share of the rows of the class that are to be answered with it, above 0 and at most 1.
    """

    def __init__(self, *, recall: float) -> None:
        super().__init__()
        self.recall = _share(recall, "recall")

    @override
    def worth(self, *, hits: Tensor, answered: Tensor, positives: int, rows: int) -> Tensor:
        reached = hits / positives >= self.recall - 1e-12
        return torch.where(reached, hits / answered.clamp_min(1), -1.0)

    @override
    def describe(self) -> str:
        return f"the highest precision at a recall of at least {self.recall:g}"


class GivenThreshold(ThresholdRule):
    """A threshold that is given, e.g. by the costs of both errors; nothing is chosen.

    Args:
        value: Probability above which the class is answered.
    """

    def __init__(self, *, value: float) -> None:
        super().__init__()
        if not 0 <= value < 1:
            raise ValueError(f"model.task.threshold.value: {value} given, a probability from 0 to below 1 is needed")
        self.value = value

    @override
    def worth(self, *, hits: Tensor, answered: Tensor, positives: int, rows: int) -> Tensor:
        raise AssertionError("nothing is chosen")

    @override
    def choose(self, scores: Tensor, positive: Tensor) -> Tensor:
        return torch.tensor(self.value)

    @override
    def describe(self) -> str:
        return "given"


def _share(value: float, name: str) -> float:
    if not 0 < value <= 1:
        raise ValueError(f"model.task.threshold.{name}: {value} given, a share above 0 and at most 1 is needed")
    return value
