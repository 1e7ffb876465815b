"""BasisBlock of the doubly residual networks N-BEATS and N-HiTS.

Shapes: N windows of one channel each, L look-back, H horizon, W pooled window, M coefficients, D hidden size.
"""

from collections.abc import Iterable

import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.dropout import Dropout


class FixedBasis(nn.Module):
    """Output layer that forecasts the coefficients of given functions of time.

    Args:
        hidden_size: Input features, D.
        basis: Values of the functions, (M, T).
    """

    basis: Tensor

    def __init__(self, *, hidden_size: int, basis: Tensor) -> None:
        super().__init__()
        self.coefficients = nn.Linear(hidden_size, len(basis))
        self.register_buffer("basis", basis, persistent=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """(N, D) -> (N, T)."""
        output: Tensor = self.coefficients(hidden) @ self.basis
        return output


class BasisBlock(nn.Module):
    """MLP over a max-pooled window, with one output layer for the window and one for the horizon.

    Args:
        look_back: Input rows, L.
        pool_size: Rows that max pooling takes together; 1 for none.
        hidden_size: Width D.
        num_layers: Hidden layers.
        dropout: Dropout after each hidden layer.
        backcast: (N, D) -> (N, L), the part of the window that the block explains; None in a last block.
        forecast: (N, D) -> (N, H), the block's part of the forecast.
    """

    def __init__(
        self,
        *,
        look_back: int,
        pool_size: int = 1,
        hidden_size: int,
        num_layers: int,
        dropout: float,
        backcast: nn.Module | None,
        forecast: nn.Module,
    ) -> None:
        super().__init__()
        self.pool_size = pool_size
        widths = [-(-look_back // pool_size), *[hidden_size] * num_layers]
        self.layers = nn.Sequential(
            *(
                nn.Sequential(nn.Linear(width, hidden_size), nn.ReLU(), Dropout(dropout))
                for width in widths[:num_layers]
            )
        )
        self.backcast = backcast
        self.forecast = forecast

    def forward(self, window: Tensor) -> tuple[Tensor | None, Tensor]:
        """Explains windows (N, L).

        Returns:
            backcast: (N, L), or None in a last block.
            forecast: (N, H).
        """
        pooled = F.max_pool1d(window.unsqueeze(1), self.pool_size, ceil_mode=True).squeeze(1)  # (N, W)
        hidden = self.layers(pooled)
        return None if self.backcast is None else self.backcast(hidden), self.forecast(hidden)


def doubly_residual(blocks: Iterable[nn.Module], window: Tensor) -> list[Tensor]:
    """Forecasts (N, H) of all blocks, each of which sees what the backcasts before it left of the window (N, L)."""
    forecasts: list[Tensor] = []
    for block in blocks:
        backcast, forecast = block(window)
        forecasts.append(forecast)
        if backcast is not None:
            window = window - backcast
    return forecasts
