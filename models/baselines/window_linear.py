"""Linear forecast: one linear map from window to horizon."""

from typing import Literal

from torch import Tensor, nn

from models.layers import ChannelLinear, ReversibleNorm


class WindowLinear(nn.Module):
    """Linear forecast (NLinear of Zeng et al., AAAI 2023, with any norm).

    Args:
        look_back: Input rows, L.
        horizon: Forecast rows, H.
        norm: Normalisation of each window.
        channels: Whether all channels share one map, or each has a map of its own.
        num_channels: Channels C, needed for separate maps.
    """

    def __init__(
        self,
        *,
        look_back: int,
        horizon: int,
        norm: ReversibleNorm,
        channels: Literal["shared", "separate"] = "shared",
        num_channels: int | None = None,
    ) -> None:
        super().__init__()
        if channels not in ("shared", "separate"):
            raise ValueError(f"channels: {channels!r} given, allowed are 'shared' and 'separate'")
        if channels == "separate" and num_channels is None:
            raise ValueError("num_channels: none given, but separate maps need it")
        self.look_back = look_back
        self.norm = norm
        self.map: nn.Module
        if channels == "separate":
            assert num_channels is not None
            self.map = ChannelLinear(num_channels=num_channels, in_features=look_back, out_features=horizon)
        else:
            self.map = nn.Linear(look_back, horizon)
            nn.init.constant_(self.map.weight, 1 / look_back)

    def forward(self, past: Tensor) -> Tensor:
        """Forecasts (B, L, C) -> (B, H, C)."""
        window, level, scale = self.norm(past.transpose(1, 2)[..., -self.look_back :])
        return self.norm.invert(self.map(window), level, scale).transpose(1, 2)
