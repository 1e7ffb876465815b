"""Losses that know no task: regression, quantile, focal, contrastive. All reduce to a mean."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PinballLoss(nn.Module):
    """Mean quantile loss (Koenker & Bassett, 1978); over evenly spaced levels it approaches half the CRPS.

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
    """Cross-entropy that pays less for what is already right: (1 - p)^gamma * CE (Lin et al., ICCV 2017).

    With gamma 0 it is the (weighted) cross-entropy. Computed in float32 from log-probabilities, so it is safe in
    bf16 and for logits of any size.

    Args:
        task: `multiclass` takes class indices, `binary` and `multilabel` take 0/1 targets of the logits' shape.
        gamma: Focus; 0 or more.
        class_weights: A weight per class (`multiclass`), or alpha per label for the positives with 1 - alpha for
            the negatives (`binary`, `multilabel`).
        ignore_index: Class index that does not count (`multiclass`).
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


class InfoNCELoss(nn.Module):
    """Cross-entropy of picking each sample's pair among all candidates (van den Oord et al., 2018).

    Args:
        temperature: Divides the cosine similarities.
        symmetric: Average both directions (as in CLIP).
    """

    def __init__(self, *, temperature: float = 0.07, symmetric: bool = True) -> None:
        super().__init__()
        self.temperature = _positive(temperature)
        self.symmetric = symmetric

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        """Mean loss of B pairs.

        Args:
            query: (B, D).
            key: (B, D), row i belongs to row i of `query`; the other rows are its negatives.
        """
        logits = _cosine_similarity(query, key) / self.temperature  # (B, B)
        pairs = torch.arange(len(logits), device=logits.device)
        loss = F.cross_entropy(logits, pairs)
        return (loss + F.cross_entropy(logits.T, pairs)) / 2 if self.symmetric else loss


class SupervisedContrastiveLoss(nn.Module):
    """Pulls together embeddings of one class, apart from all others (Khosla et al., NeurIPS 2020, L_out).

    Args:
        temperature: Divides the cosine similarities.
    """

    def __init__(self, *, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = _positive(temperature)

    def forward(self, embedding: Tensor, target: Tensor) -> Tensor:
        """Mean over the samples that have a partner of their class; zero, with a gradient, if none has.

        Args:
            embedding: (B, D).
            target: int64 (B,), class indices.
        """
        similarity = _cosine_similarity(embedding, embedding) / self.temperature  # (B, B)
        itself = torch.eye(len(target), dtype=torch.bool, device=target.device)
        partners = (target[:, None] == target[None, :]) & ~itself
        log_p = similarity - similarity.masked_fill(itself, -torch.inf).logsumexp(dim=1, keepdim=True)
        num_partners = partners.sum(dim=1)
        loss = -(log_p.masked_fill(~partners, 0.0)).sum(dim=1) / num_partners.clamp_min(1)
        anchors = num_partners > 0
        return (loss * anchors).sum() / anchors.sum().clamp_min(1)


def _cosine_similarity(a: Tensor, b: Tensor) -> Tensor:
    return F.normalize(a.float(), dim=-1) @ F.normalize(b.float(), dim=-1).T


def _positive(temperature: float) -> float:
    if temperature <= 0:
        raise ValueError(f"temperature: {temperature} given, it must be above 0")
    return temperature
