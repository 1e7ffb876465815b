"""Reversible instance normalisation: removes level and scale of each window and restores them in the forecast."""

from typing import Literal

import torch
from torch import Tensor, nn

_EPSILON = 1e-5


class ReversibleNorm(nn.Module):
    """Reversible instance normalisation without affine weights (Kim et al., ICLR 2022).

    Args:
        mode: `std` removes the window's mean and divides by its standard deviation; `mean` and `last` remove the
            mean or the last value and keep the scale (linear models then commute with it exactly).
    """

    def __init__(self, *, mode: Literal["std", "mean", "last"]) -> None:
        super().__init__()
        if mode not in ("std", "mean", "last"):
            raise ValueError(f"mode: {mode!r} given, allowed are 'std', 'mean' and 'last'")
        self.mode = mode

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalises windows.

        Args:
            window: (..., L), time last.

        Returns:
            normalised: (..., L).
            level: (..., 1).
            scale: (..., 1), ones unless the mode is `std`.
        """
        level = window[..., -1:] if self.mode == "last" else window.mean(dim=-1, keepdim=True)
        centred = window - level
        if self.mode == "std":
            scale = centred.square().mean(dim=-1, keepdim=True).sqrt() + _EPSILON
            return centred / scale, level, scale
        return centred, level, torch.ones_like(level)

    @staticmethod
    def invert(forecast: Tensor, level: Tensor, scale: Tensor) -> Tensor:
        """Restores level and scale of a forecast (..., H)."""
        return torch.addcmul(level, forecast, scale)
