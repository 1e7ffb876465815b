"""Gates whose openness can be watched."""

from torch import Tensor, nn
from typing_extensions import override


class Gate(nn.Module):
    """How far each head opens at each step, between 0 and 1.

    Args:
        input_size: Features of a step, D.
        num_heads: Heads.
        bias: Initial bias; large values start the gate open.
    """

    def __init__(self, *, input_size: int, num_heads: int, bias: float = 0.0) -> None:
        super().__init__()
        self.projection = nn.Linear(input_size, num_heads)
        nn.init.constant_(self.projection.bias, bias)

    @override
    def forward(self, features: Tensor) -> Tensor:
        """(B, L, D) to (B, L, heads)."""
        openness: Tensor = self.projection(features).sigmoid()
        return openness
