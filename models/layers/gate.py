"""Learned gate, as a separate module so that forward hooks can watch how open it is."""

import math

import torch
from torch import Tensor, nn


class Gate(nn.Module):
    """Gates in (0, 1): the sigmoid of a linear map of the input.

    Args:
        input_size: Features of the input, D.
        num_gates: Gates G.
        openness: Initial value of the gates, in (0, 1).
    """

    def __init__(self, *, input_size: int, num_gates: int, openness: float = 0.5) -> None:
        super().__init__()
        if not 0 < openness < 1:
            raise ValueError(f"openness: {openness} given, must be between 0 and 1")
        self.linear = nn.Linear(input_size, num_gates)
        nn.init.constant_(self.linear.bias, math.log(openness / (1 - openness)))

    def forward(self, features: Tensor) -> Tensor:
        """(..., D) -> (..., G) in (0, 1); at least float32, since bfloat16 has no value between 0.996 and 1."""
        logits = self.linear(features)
        return torch.sigmoid(logits if logits.dtype == torch.float64 else logits.float())
