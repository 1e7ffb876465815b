"""NBEATS: stacks of MLPs, each explaining a part of the window, over learned or interpretable functions of time.

Shapes: B windows, C channels, L look-back, H horizon, P past and K known-future covariates, S static ones,
M coefficients, D hidden size.
"""

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.layers import ReversibleNorm
from models.mlp.basis_block import BasisBlock, CovariateBasis, FixedBasis, doubly_residual
from models.mlp.covariate_input import CovariateInput
from models.window_network import Covariates, WindowNetwork

Kind = Literal["generic", "trend", "seasonality", "exogenous"]


class NBEATS(WindowNetwork):
    """N-BEATS (Oreshkin et al., ICLR 2020): doubly residual MLPs whose outputs are functions of time.

    The stacks `[trend, seasonality]` with `share_weights` are the interpretable network of the paper: the forecast is a
    polynomial plus a Fourier series, see `components`. A generic stack learns its functions of time. With covariates it
    is NBEATSx (Olivares et al., IJF 2023): they are inputs of every block, and the functions of time of an exogenous
    stack are the known-future covariates themselves, so that `components` has their part. Channels are forecast
    independently with shared weights.

    Args:
        look_back: Input rows, L.
        horizon: Forecast rows, H.
        num_past_covariates: P.
        num_future_covariates: K.
        num_static_covariates: S.
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
        num_past_covariates: int = 0,
        num_future_covariates: int = 0,
        num_static_covariates: int = 0,
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
        super().__init__(look_back=look_back, horizon=horizon, norm=norm)
        unknown = [kind for kind in stacks if kind not in get_args(Kind)]
        if unknown or not stacks:
            raise ValueError(
                f"stacks: {list(stacks)} given, allowed are 'generic', 'trend', 'seasonality', 'exogenous'"
            )
        if "exogenous" in stacks and not num_future_covariates:
            raise ValueError(
                f"stacks: {list(stacks)} given, 'exogenous' needs covariates known over the horizon; name them "
                "in data.series.future_covariates or data.calendar, or leave 'exogenous' out"
            )
        if num_blocks < 1:
            raise ValueError(f"num_blocks: {num_blocks} given, at least 1 is needed")
        if num_harmonics is not None and not 1 <= num_harmonics <= horizon // 2:
            raise ValueError(f"num_harmonics: {num_harmonics} given, allowed are 1 to half the horizon, {horizon // 2}")
        self.stacks = tuple(stacks)
        self.repetitions = num_blocks if share_weights else 1
        frequencies = torch.arange(1 + (horizon // 2 if num_harmonics is None else num_harmonics))

        num_values = look_back * num_past_covariates + (look_back + horizon) * num_future_covariates

        def output(kind: Kind, rows: Tensor) -> nn.Module:
            if kind == "exogenous":
                of = slice(look_back) if rows[0] < 0 else slice(look_back, None)
                return CovariateBasis(hidden_size=hidden_size, num_future_covariates=num_future_covariates, rows=of)
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
                covariates=CovariateInput(
                    num_values=num_values, num_static_covariates=num_static_covariates, hidden_size=hidden_size
                ),
                # Nothing reads the backcast of the block that is run last.
                backcast=None if index == len(kinds) - 1 and self.repetitions == 1 else output(kind, past),
                forecast=output(kind, future),
            )
            for index, kind in enumerate(kinds)
        )

    @override
    def normalised_forecast(self, window: Tensor, covariates: Covariates) -> Tensor:
        return self._stack_forecasts(window, covariates).sum(dim=-1)

    def components(
        self,
        past: Tensor,
        past_covariates: Tensor | None = None,
        future_covariates: Tensor | None = None,
        static_covariates: Tensor | None = None,
    ) -> Tensor:
        """Splits the forecast into the window's level and the part of each stack; the arguments are those of `forward`.

        Returns:
            (B, H, C, 1 + stacks): the level that `norm` removed, then the part of each stack; they add up to the
            forecast.
        """
        window, level, scale = self.norm(past.transpose(1, 2)[..., -self.look_back :])
        covariates = self.covariates_of(past, past_covariates, future_covariates, static_covariates)
        parts = self._stack_forecasts(window, covariates) * scale.unsqueeze(-1)  # (B, C, H, stacks)
        levels = level.unsqueeze(-1).expand(-1, -1, parts.shape[2], -1)
        return torch.cat([levels, parts], dim=-1).transpose(1, 2)

    def _stack_forecasts(self, window: Tensor, covariates: Covariates) -> Tensor:
        """Normalised windows (B, C, L) -> forecasts of the stacks (B, C, H, stacks)."""
        blocks = [block for block in self.blocks for _ in range(self.repetitions)]
        forecasts = torch.stack(doubly_residual(blocks, window, covariates), dim=-1)  # (B, C, H, blocks)
        return forecasts.unflatten(-1, (len(self.stacks), -1)).sum(dim=-1)


def _polynomials(rows: Tensor, degree: int) -> Tensor:
    """(M, T): powers 0 to `degree` of the time, which is 0 at the first row and 1 after the last."""
    time = (rows - rows[0]) / len(rows)
    return time ** torch.arange(degree + 1).unsqueeze(1)


def _harmonics(time: Tensor, frequencies: Tensor) -> Tensor:
    """(M, T): cosines of all frequencies, sines of all but frequency 0, which is first."""
    angles = 2 * math.pi * frequencies.unsqueeze(1) * time
    return torch.cat([angles.cos(), angles[1:].sin()])
