"""Linear forecast: one linear map from window to horizon."""

from torch import Tensor, nn

from models.layers import ReversibleNorm


class WindowLinear(nn.Module):
    """Linear forecast with weights shared by all channels (NLinear of Zeng et al., AAAI 2023, with any norm).

    Args:
        look_back: Input rows, L.
        horizon: Forecast rows, H.
        norm: Normalisation of each window.
    """

    def __init__(self, *, look_back: int, horizon: int, norm: ReversibleNorm) -> None:
        super().__init__()
        self.look_back = look_back
        self.norm = norm
        self.map = nn.Linear(look_back, horizon)
        nn.init.constant_(self.map.weight, 1 / look_back)

    def forward(self, past: Tensor) -> Tensor:
        """Forecasts (B, L, C) -> (B, H, C)."""
        window, level, scale = self.norm(past.transpose(1, 2)[..., -self.look_back :])
        return self.norm.invert(self.map(window), level, scale).transpose(1, 2)
