"""BasisBlock of the doubly residual networks N-BEATS and N-HiTS.

Shapes: B windows, C channels, L look-back, H horizon, K known-future covariates, W pooled window, M coefficients,
D hidden size, T rows of the window or the horizon.
"""

from collections.abc import Iterable

import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.dropout import Dropout
from models.mlp.covariate_input import CovariateInput
from models.window_network import Covariates


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
        """(B, C, D) -> (B, C, T)."""
        output: Tensor = self.coefficients(hidden) @ self.basis
        return output


class CovariateBasis(nn.Module):
    """Output layer that forecasts the coefficients of the known-future covariates: their sum is the output.

    Args:
        hidden_size: Input features, D.
        num_future_covariates: K.
        rows: Which rows of window and horizon it gives.
    """

    def __init__(self, *, hidden_size: int, num_future_covariates: int, rows: slice) -> None:
        super().__init__()
        self.coefficients = nn.Linear(hidden_size, num_future_covariates)
        self.rows = rows

    def forward(self, hidden: Tensor, future_covariates: Tensor) -> Tensor:
        """(B, C, D), (B, L + H, K) -> (B, C, T)."""
        output: Tensor = self.coefficients(hidden) @ future_covariates[:, self.rows].transpose(1, 2)
        return output


class BasisBlock(nn.Module):
    """MLP over a max-pooled window and its covariates, with one output layer for the window and one for the horizon.

    Args:
        look_back: Input rows, L.
        pool_size: Rows that max pooling takes together; 1 for none.
        hidden_size: Width D.
        num_layers: Hidden layers.
        dropout: Dropout after each hidden layer.
        covariates: Adds covariates to the first hidden layer; None without covariates.
        backcast: (B, C, D) -> (B, C, L), the part of the window that the block explains; None in a last block.
        forecast: (B, C, D) -> (B, C, H), the block's part of the forecast.
    """

    def __init__(
        self,
        *,
        look_back: int,
        pool_size: int = 1,
        hidden_size: int,
        num_layers: int,
        dropout: float,
        covariates: CovariateInput | None = None,
        backcast: nn.Module | None,
        forecast: nn.Module,
    ) -> None:
        super().__init__()
        self.pool_size = pool_size
        widths = [-(-look_back // pool_size), *[hidden_size] * num_layers]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(width, hidden_size), nn.ReLU(), Dropout(dropout)) for width in widths[:num_layers]
        )
        self.covariates = covariates
        self.backcast = backcast
        self.forecast = forecast

    def forward(self, window: Tensor, covariates: Covariates) -> tuple[Tensor | None, Tensor]:
        """Explains windows (B, C, L).

        Returns:
            backcast: (B, C, L), or None in a last block.
            forecast: (B, C, H).
        """
        hidden = F.max_pool1d(window, self.pool_size, ceil_mode=True) if self.pool_size > 1 else window  # (B, C, W)
        for index, layer in enumerate(self.layers):
            linear, activation, dropout = layer.children()
            hidden = linear(hidden)
            if index == 0 and self.covariates is not None:
                hidden = self.covariates(hidden, covariates)
            hidden = dropout(activation(hidden))

        def output(layer: nn.Module) -> Tensor:
            known = (covariates.future,) if isinstance(layer, CovariateBasis) else ()
            rows: Tensor = layer(hidden, *known)
            return rows

        return None if self.backcast is None else output(self.backcast), output(self.forecast)


def doubly_residual(blocks: Iterable[nn.Module], window: Tensor, covariates: Covariates) -> list[Tensor]:
    """Forecasts (B, C, H) of all blocks; each sees what the backcasts before it left of the window (B, C, L)."""
    forecasts: list[Tensor] = []
    for block in blocks:
        backcast, forecast = block(window, covariates)
        forecasts.append(forecast)
        if backcast is not None:
            window = window - backcast
    return forecasts
