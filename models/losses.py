"""Losses: pinball (quantile) and focal, both reduced to a mean."""

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
        error = target.unsqueeze(-1) - prediction
        return torch.maximum(self.quantiles * error, (self.quantiles - 1) * error).mean()


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
    """

    class_weights: Tensor | None

    def __init__(
        self,
        *,
        task: Literal["multiclass", "binary", "multilabel"] = "multiclass",
        gamma: float = 2.0,
        class_weights: Sequence[float] | None = None,
        ignore_index: int = -100,
    ) -> None:
        super().__init__()
        if gamma < 0:
            raise ValueError(f"gamma: {gamma} given, 0 or more is allowed")
        self.task = task
        self.gamma = gamma
        self.ignore_index = ignore_index
        weights = None if class_weights is None else torch.tensor(list(class_weights), dtype=torch.float32)
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Mean focal loss.

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
        return loss.sum() / weight.sum()

    def _binary(self, logits: Tensor, target: Tensor) -> Tensor:
        logits, target = logits.float(), target.float()
        log_p = -F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        loss = self._focus(log_p) * -log_p
        if self.class_weights is not None:
            loss = loss * (self.class_weights * target + (1 - self.class_weights) * (1 - target))
        return loss.mean()

    def _focus(self, log_p: Tensor) -> Tensor:
        # 1 - p from log p without cancellation; the clamp keeps the gradient of x^gamma finite at p = 1.
        return (-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).tiny) ** self.gamma
