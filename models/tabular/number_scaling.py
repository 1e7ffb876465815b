"""QuantileNormal: numbers to the scores of a normal distribution by quantiles of the training rows."""

import torch
from torch import Tensor, nn
from typing_extensions import override

_SIZE = 1024
"""Places for knots, a power of two for the search."""


class QuantileNormal(nn.Module):
    """Rank of a number among the training rows as a normal score, linear between quantiles, (B, F) -> (B, F).

    Numbers outside the range of the training rows get the score of its ends, about -3.2 and 3.2. Numbers that many rows
    share get the score of the middle of their ranks.

    Args:
        num_columns: Number columns, F.
    """

    knots: Tensor
    scores: Tensor
    column_starts: Tensor

    def __init__(self, *, num_columns: int) -> None:
        super().__init__()
        self.register_buffer("knots", torch.full((num_columns, _SIZE), torch.inf))
        self.register_buffer("scores", torch.zeros(num_columns, _SIZE))
        self.register_buffer("column_starts", torch.arange(num_columns) * _SIZE, persistent=False)
        self.set_quantiles(torch.linspace(-3, 3, 25).expand(num_columns, -1))

    def set_quantiles(self, quantiles: Tensor) -> None:
        """Sets the knots.

        Args:
            quantiles: Of the training rows at equidistant levels from 0 to 1, (F, levels), ascending.

        Raises:
            ValueError: The number of columns differs.
        """
        if len(quantiles) != len(self.knots):
            raise ValueError(f"the data has {len(quantiles)} columns, the model was built for {len(self.knots)}")
        num_levels = quantiles.shape[1]
        half = 0.5 / (num_levels - 1)
        levels = torch.linspace(0, 1, num_levels, dtype=torch.float64)
        self.knots.fill_(torch.inf)
        for column, row in enumerate(quantiles.cpu()):
            knots, places = row.unique(return_inverse=True)
            count = torch.zeros(len(knots), dtype=torch.float64).index_add_(0, places, torch.ones_like(levels))
            middle = torch.zeros(len(knots), dtype=torch.float64).index_add_(0, places, levels) / count
            scores = torch.special.ndtri(middle.clamp(half, 1 - half))
            self.knots[column, : len(knots)] = knots
            self.scores[column] = scores[-1]
            self.scores[column, : len(knots)] = scores

    @override
    def forward(self, raw: Tensor) -> Tensor:
        """Raw units to normal scores."""
        knots, scores = self.knots.flatten(), self.scores.flatten()
        below = self.column_starts.expand(raw.shape)
        for step in (_SIZE >> power for power in range(1, _SIZE.bit_length())):  # binary search, of any number of rows
            below = torch.where(raw >= knots[below + step], below + step, below)
        above = (below + 1).minimum(self.column_starts + _SIZE - 1)
        left, right = knots[below], knots[above]
        share = torch.where(right.isfinite(), (raw - left) / (right - left), 0.0).clamp_min(0.0)
        return scores[below] + share * (scores[above] - scores[below])
