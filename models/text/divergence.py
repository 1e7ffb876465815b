"""Divergence of the answers of two networks to the same texts: KL of classes, squared difference of numbers."""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.tasks import BinaryClassification, Regression, TabularTask


def divergence(task: TabularTask, outputs: Tensor, wanted: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Mean over the texts of T^2 KL(wanted || outputs) of logits divided by T; of numbers, the squared difference.

    Args:
        task: Meaning of the outputs: one class of two or several, or a number.
        outputs: Of the network that learns, (B, output_size).
        wanted: Of the one that it learns from, (B, output_size).
        temperature: T.
    """
    if isinstance(task, Regression):
        return F.mse_loss(outputs, wanted)
    if isinstance(task, BinaryClassification):  # one logit: that of the other class is 0
        outputs, wanted = (torch.cat([torch.zeros_like(one), one], dim=1) for one in (outputs, wanted))
    soft, own = (wanted / temperature).log_softmax(dim=1), (outputs / temperature).log_softmax(dim=1)
    return temperature**2 * F.kl_div(own, soft, reduction="batchmean", log_target=True)
