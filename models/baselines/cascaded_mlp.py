"""Cascaded MLP: small MLPs in sequence, each forecasting further ahead than the one before."""

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.forecasting.forecaster import Forecaster
from models.layers import ReversibleNorm


class CascadedMLP(nn.Module):
    """Block k of n forecasts the first k / n of the horizon from the window and the earlier blocks' forecasts.

    After the boosted direct output of ReNF (2025). Every block has a separate loss, see `CascadedForecaster`; no
    gradient flows from a block into earlier ones.

    Args:
        num_channels: Channels C; each has a learned offset.
        look_back: Input rows, L.
        horizon: Forecast rows, H, a multiple of `num_blocks`.
        num_blocks: Blocks n.
        hidden_size: Width of each block.
        dropout: Dropout before the output layer; high, as the blocks are wide.
        norm: Normalisation of each window.
    """

    def __init__(
        self,
        *,
        num_channels: int,
        look_back: int,
        horizon: int,
        num_blocks: int = 3,
        hidden_size: int = 512,
        dropout: float = 0.9,
        norm: ReversibleNorm,
    ) -> None:
        super().__init__()
        if horizon % num_blocks:
            raise ValueError(f"horizon: {horizon} given, it must be a multiple of num_blocks {num_blocks}")
        self.look_back = look_back
        self.norm = norm
        self.offset = nn.Parameter(torch.zeros(num_channels, look_back))
        part = horizon // num_blocks
        self.blocks = nn.ModuleList(
            _block(
                in_features=look_back + part * (index * (index + 1) // 2),
                out_features=part * (index + 1),
                hidden_size=hidden_size,
                dropout=dropout,
                first=index == 0,
                last=index == num_blocks - 1,
                input_dropout=0.1 if index == 0 else min(0.3 * (index + 1), 0.6),
            )
            for index in range(num_blocks)
        )

    def forward(self, past: Tensor) -> Tensor:
        """Forecasts (B, L, C) -> (B, H, C)."""
        return self.cascade(past)[-1]

    def cascade(self, past: Tensor) -> list[Tensor]:
        """Forecasts of all blocks: (B, k * H / n, C) of block k of n."""
        window, level, scale = self.norm(past.transpose(1, 2)[..., -self.look_back :])  # (B, C, L)
        known = window + self.offset
        forecasts: list[Tensor] = []
        for block in self.blocks:
            forecasts.append(block(known))
            known = torch.cat([known, forecasts[-1].detach()], dim=-1)
        return [self.norm.invert(forecast, level, scale).transpose(1, 2) for forecast in forecasts]


class CascadedForecaster(Forecaster):
    """A `Forecaster` whose loss is the sum of the blocks' losses, that of block k weighted by 1 / k."""

    @override
    def training_loss(self, inputs: dict[str, Tensor], future: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        assert isinstance(self.network, CascadedMLP)
        forecasts = self.network.cascade(**inputs)
        losses = [
            self.masked_loss(
                forecast, future[:, : forecast.shape[1]], None if mask is None else mask[:, : forecast.shape[1]]
            )
            / (index + 1)
            for index, forecast in enumerate(forecasts)
        ]
        return torch.stack(losses).sum(), forecasts[-1]


def _block(
    *,
    in_features: int,
    out_features: int,
    hidden_size: int,
    dropout: float,
    input_dropout: float,
    first: bool,
    last: bool,
) -> nn.Sequential:
    return nn.Sequential(
        nn.Identity() if first else nn.LayerNorm(in_features),
        nn.Dropout(input_dropout),
        nn.Linear(in_features, hidden_size),
        nn.Linear(hidden_size, hidden_size),
        nn.Dropout(dropout),
        nn.Identity() if last else nn.GELU(),
        nn.Linear(hidden_size, out_features),
    )
