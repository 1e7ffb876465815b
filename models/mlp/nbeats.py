"""NBEATS: stacks of MLPs, each explaining a part of the window, over learned or interpretable functions of time.

Shapes: B windows, C channels, L look-back, H horizon, N = B * C, M coefficients, S stacks, D hidden size.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from models.layers import ReversibleNorm
from models.mlp.basis_block import BasisBlock, FixedBasis, doubly_residual

Kind = Literal["generic", "trend", "seasonality"]


class NBEATS(nn.Module):
    """N-BEATS (Oreshkin et al., ICLR 2020): doubly residual MLPs whose outputs are functions of time.

    The stacks `[trend, seasonality]` with `share_weights` are the interpretable network of the paper: the forecast is a
    polynomial plus a Fourier series, see `components`. A generic stack learns its functions of time. Channels are
    forecast independently with shared weights.

    Args:
        look_back: Input rows, L.
        horizon: Forecast rows, H.
        stacks: Kind of each stack.
        num_blocks: Blocks of each stack.
        share_weights: Whether the blocks of a stack are one and the same, as in the paper's interpretable network.
        hidden_size: Width D of the MLPs.
        num_layers: Hidden layers of a block.
        expansion_size: Learned functions of time in a generic block.
        degree: Degree of the polynomial of a trend block.
        num_harmonics: Frequencies of a seasonality block: 1, 2, ... cycles per horizon; None for all up to H / 2.
        dropout: Dropout after each hidden layer.
        norm: Normalisation of each window.
    """

    def __init__(
        self,
        *,
        look_back: int,
        horizon: int,
        stacks: Sequence[Kind] = ("generic", "generic"),
        num_blocks: int = 3,
        share_weights: bool = False,
        hidden_size: int = 256,
        num_layers: int = 4,
        expansion_size: int = 32,
        degree: int = 3,
        num_harmonics: int | None = None,
        dropout: float = 0.0,
        norm: ReversibleNorm,
    ) -> None:
        super().__init__()
        unknown = [kind for kind in stacks if kind not in ("generic", "trend", "seasonality")]
        if unknown or not stacks:
            raise ValueError(f"stacks: {list(stacks)} given, allowed are 'generic', 'trend' and 'seasonality'")
        if num_blocks < 1:
            raise ValueError(f"num_blocks: {num_blocks} given, at least 1 is needed")
        if num_harmonics is not None and not 1 <= num_harmonics <= horizon // 2:
            raise ValueError(f"num_harmonics: {num_harmonics} given, allowed are 1 to half the horizon, {horizon // 2}")
        self.look_back = look_back
        self.norm = norm
        self.stacks = tuple(stacks)
        self.repetitions = num_blocks if share_weights else 1
        frequencies = torch.arange(1 + (horizon // 2 if num_harmonics is None else num_harmonics))

        def output(kind: Kind, rows: Tensor) -> nn.Module:
            if kind == "generic":
                coefficients = nn.Linear(hidden_size, expansion_size, bias=False)
                return nn.Sequential(coefficients, nn.Linear(expansion_size, len(rows)))
            basis = _polynomials(rows, degree) if kind == "trend" else _harmonics(rows / horizon, frequencies)
            return FixedBasis(hidden_size=hidden_size, basis=basis)

        past, future = torch.arange(-look_back, 0), torch.arange(horizon)
        kinds = [kind for kind in stacks for _ in range(1 if share_weights else num_blocks)]
        self.blocks = nn.ModuleList(
            BasisBlock(
                look_back=look_back,
                hidden_size=hidden_size,
                num_layers=num_layers,
                dropout=dropout,
                # Nothing reads the backcast of the block that is run last.
                backcast=None if index == len(kinds) - 1 and self.repetitions == 1 else output(kind, past),
                forecast=output(kind, future),
            )
            for index, kind in enumerate(kinds)
        )

    def forward(self, past: Tensor) -> Tensor:
        """Forecasts (B, L, C) -> (B, H, C)."""
        window, level, scale = self.norm(past.transpose(1, 2)[..., -self.look_back :])  # (B, C, L)
        forecast = self._stack_forecasts(window).sum(dim=-1)
        return self.norm.invert(forecast, level, scale).transpose(1, 2)

    def components(self, past: Tensor) -> Tensor:
        """Splits the forecast into the window's level and the part of each stack.

        Args:
            past: (B, L, C).

        Returns:
            (B, H, C, S + 1): the level that `norm` removed, then the part of each stack. Their sum is the forecast.
        """
        window, level, scale = self.norm(past.transpose(1, 2)[..., -self.look_back :])
        parts = self._stack_forecasts(window) * scale.unsqueeze(-1)  # (B, C, H, S)
        levels = level.unsqueeze(-1).expand(-1, -1, parts.shape[2], -1)
        return torch.cat([levels, parts], dim=-1).transpose(1, 2)

    def _stack_forecasts(self, window: Tensor) -> Tensor:
        """Normalised windows (B, C, L) -> forecasts of the stacks (B, C, H, S)."""
        blocks = [block for block in self.blocks for _ in range(self.repetitions)]
        forecasts = torch.stack(doubly_residual(blocks, window.flatten(0, 1)), dim=-1)  # (N, H, blocks)
        by_stack = forecasts.unflatten(-1, (len(self.stacks), -1)).sum(dim=-1)
        return by_stack.unflatten(0, window.shape[:2])


def _polynomials(rows: Tensor, degree: int) -> Tensor:
    """(M, T): powers 0 to `degree` of the time, which is 0 at the first row and 1 after the last."""
    time = (rows - rows[0]) / len(rows)
    return time ** torch.arange(degree + 1).unsqueeze(1)


def _harmonics(time: Tensor, frequencies: Tensor) -> Tensor:
    """(M, T): cosines of all frequencies, sines of all but frequency 0, which is first."""
    angles = 2 * math.pi * frequencies.unsqueeze(1) * time
    return torch.cat([angles.cos(), angles[1:].sin()])
