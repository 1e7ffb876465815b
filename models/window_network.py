"""WindowNetwork, the base of networks that forecast each channel of a normalised window, with covariates.

Shapes: B windows, C channels, L look-back, H horizon, P past and K known-future covariates, S static ones, Q quantiles.
"""

from abc import abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from models.layers import ReversibleNorm


class Covariates(NamedTuple):
    """Covariates of windows, each None where there is none.

    Attributes:
        past: (B, L, P).
        future: (B, L + H, K).
        static: (B, C, S).
    """

    past: Tensor | None
    future: Tensor | None
    static: Tensor | None


class WindowNetwork(nn.Module):
    """Network that normalises each window, forecasts it with its covariates, and restores level and scale.

    Args:
        look_back: Input rows, L.
        horizon: Forecast rows, H.
        norm: Normalisation of each window.
    """

    def __init__(self, *, look_back: int, horizon: int, norm: ReversibleNorm) -> None:
        super().__init__()
        self.look_back = look_back
        self.horizon = horizon
        self.norm = norm

    @abstractmethod
    def normalised_forecast(self, window: Tensor, covariates: Covariates) -> Tensor:
        """Forecasts windows (B, C, L) in their own units: (B, C, H), or (B, C, H, Q) with quantiles."""

    def forward(
        self,
        past: Tensor,
        past_covariates: Tensor | None = None,
        future_covariates: Tensor | None = None,
        static_covariates: Tensor | None = None,
    ) -> Tensor:
        """Forecasts the horizon after each window.

        Args:
            past: (B, L, C).
            past_covariates: (B, L, P), required if P > 0.
            future_covariates: (B, L + H, K), required if K > 0.
            static_covariates: (B, C, S), required if S > 0.

        Returns:
            (B, H, C), or (B, H, C, Q) with quantiles.
        """
        window, level, scale = self.norm(past.transpose(1, 2)[..., -self.look_back :])  # (B, C, L)
        covariates = self.covariates_of(past, past_covariates, future_covariates, static_covariates)
        forecast = self.normalised_forecast(window, covariates)
        if forecast.ndim == 4:
            level, scale = level.unsqueeze(-1), scale.unsqueeze(-1)
        return self.norm.invert(forecast, level, scale).transpose(1, 2)

    def covariates_of(
        self, past: Tensor, observed: Tensor | None, known: Tensor | None, static: Tensor | None
    ) -> Covariates:
        """Covariates of the last L rows of windows (B, rows, C), and of the horizon."""
        first = past.shape[1] - self.look_back
        return Covariates(
            None if observed is None else observed[:, first:], None if known is None else known[:, first:], static
        )
