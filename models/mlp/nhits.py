"""NHiTS: pooled windows, interpolated forecasts, one resolution per stack.

Shapes: B windows, C channels, L look-back, H horizon, P past and K known-future covariates, S static ones, M knots.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from models.layers import ReversibleNorm
from models.mlp.basis_block import BasisBlock, FixedBasis, doubly_residual
from models.mlp.covariate_input import CovariateInput
from models.window_network import Covariates, WindowNetwork


class NHiTS(WindowNetwork):
    """N-HiTS (Challu et al., AAAI 2023): doubly residual MLPs at several resolutions, the coarsest first.

    A block of stack s sees the window max-pooled over `pool_sizes[s]` rows and forecasts one knot per
    `knot_spacings[s]` rows of the horizon, interpolated linearly. What its backcast explains is subtracted from the
    window of the next block; the forecasts are added. Covariates are inputs of every block, those of the rows at full
    resolution. Channels are forecast independently with shared weights.

    Args:
        look_back: Input rows, L.
        horizon: Forecast rows, H.
        num_past_covariates: P.
        num_future_covariates: K.
        num_static_covariates: S.
        pool_sizes: Rows that max pooling takes together, per stack.
        knot_spacings: Rows per forecast knot, per stack.
        num_blocks: Blocks of each stack.
        hidden_size: Width of the MLPs.
        num_layers: Hidden layers of a block.
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
        pool_sizes: Sequence[int] = (2, 2, 1),
        knot_spacings: Sequence[int] = (4, 2, 1),
        num_blocks: int = 1,
        hidden_size: int = 512,
        num_layers: int = 2,
        dropout: float = 0.0,
        norm: ReversibleNorm,
    ) -> None:
        super().__init__(look_back=look_back, horizon=horizon, norm=norm)
        if len(pool_sizes) != len(knot_spacings) or not pool_sizes:
            raise ValueError(
                f"pool_sizes, knot_spacings: {list(pool_sizes)} and {list(knot_spacings)} given, one number per stack "
                "is needed in both"
            )
        if not 1 <= min(pool_sizes) <= max(pool_sizes) <= look_back:
            raise ValueError(f"pool_sizes: {list(pool_sizes)} given, allowed are 1 to look_back {look_back}")
        if not 1 <= min(knot_spacings) <= max(knot_spacings) <= horizon:
            raise ValueError(f"knot_spacings: {list(knot_spacings)} given, allowed are 1 to horizon {horizon}")
        if num_blocks < 1:
            raise ValueError(f"num_blocks: {num_blocks} given, at least 1 is needed")
        num_values = look_back * num_past_covariates + (look_back + horizon) * num_future_covariates
        resolutions = [pair for pair in zip(pool_sizes, knot_spacings, strict=True) for _ in range(num_blocks)]
        self.blocks = nn.ModuleList(
            BasisBlock(
                look_back=look_back,
                pool_size=pool_size,
                hidden_size=hidden_size,
                num_layers=num_layers,
                dropout=dropout,
                covariates=CovariateInput(
                    num_values=num_values, num_static_covariates=num_static_covariates, hidden_size=hidden_size
                ),
                backcast=None if index == len(resolutions) - 1 else nn.Linear(hidden_size, look_back),
                forecast=FixedBasis(hidden_size=hidden_size, basis=_interpolation(horizon // knot_spacing, horizon)),
            )
            for index, (pool_size, knot_spacing) in enumerate(resolutions)
        )

    @override
    def normalised_forecast(self, window: Tensor, covariates: Covariates) -> Tensor:
        return torch.stack(doubly_residual(self.blocks, window, covariates)).sum(dim=0)


def _interpolation(num_knots: int, horizon: int) -> Tensor:
    """(M, H): row m is the linear interpolation of knots that are zero except for knot m."""
    return F.interpolate(torch.eye(num_knots).unsqueeze(0), size=horizon, mode="linear").squeeze(0)
