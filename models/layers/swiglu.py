"""SwiGLU feed-forward network."""

import torch.nn.functional as F
from torch import Tensor, nn


class SwiGLU(nn.Module):
    """Feed-forward network with hidden features gated by SiLU (Shazeer, 2020).

    Args:
        input_size: Features of input and output, D.
        hidden_size: Hidden features.
    """

    def __init__(self, *, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.expand = nn.Linear(input_size, 2 * hidden_size, bias=False)
        self.contract = nn.Linear(hidden_size, input_size, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        gate, hidden = self.expand(features).chunk(2, dim=-1)
        output: Tensor = self.contract(F.silu(gate) * hidden)
        return output
