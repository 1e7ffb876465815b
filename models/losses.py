"""Losses: pinball (quantile), focal and InfoNCE (contrastive), all reduced to a mean."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PinballLoss(nn.Module):
    """Mean pinball loss (Koenker & Bassett, 1978); over evenly spaced levels it approaches half the CRPS.

    Args:
        quantiles: Levels in (0, 1), ascending.
    """

    quantiles: Tensor

    def __init__(self, *, quantiles: Sequence[float]) -> None:
        super().__init__()
        levels = list(quantiles)
        if not levels or sorted(set(levels)) != levels or levels[0] <= 0 or levels[-1] >= 1:
            raise ValueError(f"quantiles: {levels} given, allowed are ascending levels between 0 and 1")
        self.register_buffer("quantiles", torch.tensor(levels), persistent=False)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean over all levels and targets.

        Args:
            prediction: (..., Q), one forecast per level.
            target: (...).
        """
        return self.each(prediction, target).mean()

    def each(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Losses of every level and target (..., Q); arguments as in `forward`."""
        error = target.unsqueeze(-1) - prediction
        return torch.maximum(self.quantiles * error, (self.quantiles - 1) * error)


class FocalLoss(nn.Module):
    """Cross-entropy with less weight on well-classified samples: (1 - p)^gamma * CE (Lin et al., ICCV 2017).

    gamma 0 is the (weighted) cross-entropy. Computed in float32 from log-probabilities, so that it is stable in bf16
    and for logits of any size.

    Args:
        task: `multiclass` takes class indices, `binary` and `multilabel` take 0/1 targets of the logits' shape.
        gamma: Focusing exponent, 0 or more.
        class_weights: A weight per class (`multiclass`), or alpha per label for the positives with 1 - alpha for
            the negatives (`binary`, `multilabel`).
        ignore_index: Class index of samples to leave out (`multiclass`).
        reduction: `mean`, or `none` for a loss per sample.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        *,
        task: Literal["multiclass", "binary", "multilabel"] = "multiclass",
        gamma: float = 2.0,
        class_weights: Sequence[float] | None = None,
        ignore_index: int = -100,
        reduction: Literal["mean", "none"] = "mean",
    ) -> None:
        super().__init__()
        if gamma < 0:
            raise ValueError(f"gamma: {gamma} given, 0 or more is allowed")
        self.task = task
        self.gamma = gamma
        self.ignore_index = ignore_index
        self.reduction = reduction
        weights = None if class_weights is None else torch.tensor(list(class_weights), dtype=torch.float32)
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Mean focal loss, or one per sample.

        Args:
            logits: (B, num_classes, ...) for `multiclass`, else (B, ...).
            target: int64 (B, ...) for `multiclass`, else 0/1 of the logits' shape.
        """
        return self._multiclass(logits, target) if self.task == "multiclass" else self._binary(logits, target)

    def _multiclass(self, logits: Tensor, target: Tensor) -> Tensor:
        counted = target != self.ignore_index
        index = target.where(counted, 0)
        log_p = logits.float().log_softmax(dim=1).gather(1, index.unsqueeze(1)).squeeze(1)
        weight = counted.float() if self.class_weights is None else self.class_weights[index] * counted
        loss = weight * self._focus(log_p) * -log_p
        return loss if self.reduction == "none" else loss.sum() / weight.sum()

    def _binary(self, logits: Tensor, target: Tensor) -> Tensor:
        logits, target = logits.float(), target.float()
        log_p = -F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        loss = self._focus(log_p) * -log_p
        if self.class_weights is not None:
            loss = loss * (self.class_weights * target + (1 - self.class_weights) * (1 - target))
        return loss if self.reduction == "none" else loss.mean()

    def _focus(self, log_p: Tensor) -> Tensor:
        # 1 - p from log p without cancellation; the clamp keeps the gradient of x^gamma finite at p = 1.
        return (-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).tiny) ** self.gamma


class InfoNCE(nn.Module):
    """Cross-entropy of each anchor's own positive among all positives of the batch (van den Oord et al., 2018).

    The other pairs of the batch supply the negatives: similarities are divided by the temperature, and the pairs'
    own are the targets. Computed in float32.

    Args:
        temperature: Divides the similarities; cosine similarities need a small one, e.g. 0.05.
        symmetric: Average with the loss of each positive's own anchor among all anchors (Radford et al., 2021).
    """

    def __init__(self, *, temperature: float = 0.05, symmetric: bool = False) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature: {temperature} given, a number above 0 is needed")
        self.temperature = temperature
        self.symmetric = symmetric

    def forward(
        self, anchors: Tensor, positives: Tensor, negatives: Tensor | None = None, masked: Tensor | None = None
    ) -> Tensor:
        """Mean loss of the pairs.

        Args:
            anchors: (B, E).
            positives: (B, E), row i belongs to anchor i.
            negatives: (N, E), further negatives of every anchor; None for none.
            masked: True where positive j is no negative of anchor i, bool (B, B); the diagonal is ignored. None for no
                such pair.
        """
        with torch.autocast(anchors.device.type, enabled=False):  # cosines in bf16 have two digits
            similarity = anchors.float() @ positives.float().T / self.temperature  # (B, B)
            further = None if negatives is None else anchors.float() @ negatives.float().T / self.temperature
        target = torch.arange(len(anchors), device=anchors.device)
        if masked is not None:
            others = masked & ~torch.eye(len(anchors), dtype=torch.bool, device=masked.device)
            similarity = similarity.masked_fill(others, -torch.inf)
        logits = similarity if further is None else torch.cat([similarity, further], dim=1)
        loss = F.cross_entropy(logits, target)
        return (loss + F.cross_entropy(similarity.T, target)) / 2 if self.symmetric else loss
