"""Naive forecasts without training: last value and last season."""

from torch import Tensor, nn


class RepeatLast(nn.Module):
    """Repeats the last value, the optimal forecast of a random walk.

    Args:
        horizon: Forecast rows, H.
    """

    def __init__(self, *, horizon: int) -> None:
        super().__init__()
        self.horizon = horizon

    def forward(self, past: Tensor) -> Tensor:
        """Forecasts (B, L, C) -> (B, H, C)."""
        return past[:, -1:].expand(-1, self.horizon, -1)


class SeasonalNaive(nn.Module):
    """Repeats the last season.

    Args:
        look_back: Input rows, L; at least one period.
        horizon: Forecast rows, H.
        period: Rows of one season.
    """

    def __init__(self, *, look_back: int, horizon: int, period: int) -> None:
        super().__init__()
        if look_back < period:
            raise ValueError(f"look_back: {look_back} given, at least one period of {period} rows is needed")
        self.horizon = horizon
        self.period = period

    def forward(self, past: Tensor) -> Tensor:
        """Forecasts (B, L, C) -> (B, H, C)."""
        season = past[:, -self.period :]
        repeats = -(-self.horizon // self.period)
        return season.repeat(1, repeats, 1)[:, : self.horizon]
