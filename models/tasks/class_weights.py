"""Class weights of a task: given, or balanced by the frequencies of the training rows, on any loss."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

ClassWeights: TypeAlias = Literal["balanced"] | Sequence[float]


def balanced_weights(counts: Tensor) -> Tensor:
    """Weights with which all classes together weigh alike, and the mean training row weighs 1.

    Args:
        counts: Training rows of each class, (..., C).

    Returns:
        float32 (..., C); a class without a training row weighs as much as one with a single row.
    """
    counts = counts.double()
    return (counts.sum(dim=-1, keepdim=True) / (counts.shape[-1] * counts.clamp_min(1.0))).float()


def given_weights(weights: Sequence[float], *, size: int, of: str) -> Tensor:
    """Checks weights of a config.

    Args:
        weights: One number per class or label.
        size: How many there are.
        of: What they are of, for messages.

    Raises:
        ValueError: There are too few or too many, or one is not above 0.
    """
    if len(weights) != size or any(weight <= 0 for weight in weights):
        raise ValueError(
            f"model.task.class_weights: {list(weights)} given, `balanced` or {size} numbers above 0 are needed, one "
            f"per {of}"
        )
    return torch.tensor(list(weights), dtype=torch.float32)


def one_loss_per_row(criterion: nn.Module) -> nn.Module:
    """Makes a loss return one value per row, which weights can be multiplied on.

    Args:
        criterion: A loss with `reduction`, as those of torch and `FocalLoss`.

    Raises:
        ValueError: It has none, or has weights of its own.
    """
    name = type(criterion).__name__
    if not hasattr(criterion, "reduction"):
        raise ValueError(
            f"model.task.class_weights: given with the loss {name}, which only returns a mean (no `reduction`); take "
            "FocalLoss, or leave out one of them"
        )
    own = [one for one in ("weight", "pos_weight", "class_weights") if getattr(criterion, one, None) is not None]
    if own:
        raise ValueError(f"model.task.class_weights: given beside {own[0]} of the loss {name}; leave out one of them")
    criterion.reduction = "none"  # type: ignore[assignment]
    return criterion
