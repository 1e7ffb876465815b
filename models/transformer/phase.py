"""PhaseTransformer: a transformer over the phases of one season.

Shapes: B windows, C channels, L look-back, H horizon, P phases of a period, N = B * C, D hidden size.
"""

import torch
from torch import Tensor, nn

from models.layers import ReversibleNorm, RouterAttention
from models.period import needed_period


class PhaseBlock(nn.Module):
    """Pre-norm block: router attention over the phases, then a feed-forward network.

    Args:
        hidden_size: Width D.
        num_heads: Attention heads.
        num_routers: Routers of the attention.
        dropout: Dropout of both branches and inside the feed-forward network.
        feed_forward_size: Width of the feed-forward network; None for 4 D.
        attention_size: Width of all heads together; None for D.
    """

    def __init__(
        self,
        *,
        hidden_size: int,
        num_heads: int,
        num_routers: int,
        dropout: float,
        feed_forward_size: int | None = None,
        attention_size: int | None = None,
    ) -> None:
        super().__init__()
        inner_size = feed_forward_size or 4 * hidden_size
        self.attention_norm = nn.LayerNorm(hidden_size)
        self.attention = RouterAttention(
            hidden_size=hidden_size, num_heads=num_heads, num_routers=num_routers, attention_size=attention_size
        )
        self.feed_forward_norm = nn.LayerNorm(hidden_size)
        self.feed_forward = nn.Sequential(
            nn.Linear(hidden_size, inner_size),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(inner_size, hidden_size),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Mixes tokens (N, P, D) -> (N, P, D)."""
        tokens = tokens + self.dropout(self.attention(self.attention_norm(tokens)))
        return tokens + self.dropout(self.feed_forward(self.feed_forward_norm(tokens)))


class PhaseTransformer(nn.Module):
    """Phase-token transformer: a linear seasonal forecast, corrected by attention across the phases.

    A token is one phase of the period (e.g. an hour of the day) with the values of that phase in the last L / P
    periods. A linear map from past to future periods, shared by all phases, is the seasonal skip connection; the
    transformer's correction starts at zero. Channels are forecast independently with shared weights, so the number of
    parameters does not depend on C. After PhaseFormer (2025) and SparseTSF (Lin et al., ICML 2024).

    Args:
        look_back: Input rows, L; at least one period. Only the last whole periods are used.
        horizon: Forecast rows, H.
        period: Rows of one season, P; None, in a config, for that of the training data.
        hidden_size: Width D.
        num_layers: Blocks.
        num_heads: Attention heads.
        num_routers: Routers of the attention.
        dropout: Dropout in the blocks.
        feed_forward_size: Width of the feed-forward networks; None for 4 D.
        attention_size: Width of all heads together; None for D. Both are smaller in a pruned network.
    """

    def __init__(
        self,
        *,
        look_back: int,
        horizon: int,
        period: int | None = None,
        hidden_size: int = 16,
        num_layers: int = 1,
        num_heads: int = 2,
        num_routers: int = 8,
        dropout: float = 0.1,
        feed_forward_size: int | None = None,
        attention_size: int | None = None,
    ) -> None:
        super().__init__()
        period = needed_period(period, look_back=look_back)
        self.look_back = look_back
        self.horizon = horizon
        self.period = period
        self.num_periods = look_back // period
        num_coming_periods = -(-horizon // period)
        self.norm = ReversibleNorm(mode="std")
        self.seasonal = nn.Linear(self.num_periods, num_coming_periods)
        self.embedding = nn.Linear(self.num_periods, hidden_size)
        self.position = nn.Parameter(torch.randn(period, hidden_size) * 0.02)
        self.blocks = nn.Sequential(
            *(
                PhaseBlock(
                    hidden_size=hidden_size,
                    num_heads=num_heads,
                    num_routers=num_routers,
                    dropout=dropout,
                    feed_forward_size=feed_forward_size,
                    attention_size=attention_size,
                )
                for _ in range(num_layers)
            )
        )
        self.correction = nn.Linear(hidden_size, num_coming_periods)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)

    def forward(self, past: Tensor) -> Tensor:
        """Forecasts (B, L, C) -> (B, H, C)."""
        batch_size, _, num_channels = past.shape
        window, level, scale = self.norm(past.transpose(1, 2)[..., -self.look_back :])  # (B, C, L)
        whole = window[..., -self.num_periods * self.period :]
        phases = whole.unflatten(-1, (self.num_periods, self.period)).flatten(0, 1).transpose(1, 2)  # (N, P, L / P)
        tokens = self.blocks(self.embedding(phases) + self.position)  # (N, P, D)
        coming = self.seasonal(phases) + self.correction(tokens)  # (N, P, ceil(H / P))
        forecast = coming.transpose(1, 2).flatten(1).unflatten(0, (batch_size, num_channels))[..., : self.horizon]
        return self.norm.invert(forecast, level, scale).transpose(1, 2)
