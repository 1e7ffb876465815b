"""One linear map from window to horizon."""

from torch import Tensor, nn

from models.layers import ReversibleNorm


class WindowLinear(nn.Module):
    """Linear forecast of each channel with shared weights (NLinear of Zeng et al., AAAI 2023, with a chosen norm).

    Args:
        look_back: Rows seen, L.
        horizon: Rows forecast, H.
        norm: What each window is freed of, see `ReversibleNorm`.
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
