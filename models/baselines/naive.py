"""Naive forecasts without training: last value and last season."""

from torch import Tensor, nn

from models.period import needed_period


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
        period: Rows of one season; None, in a config, for that of the training data.
    """

    def __init__(self, *, look_back: int, horizon: int, period: int | None = None) -> None:
        super().__init__()
        self.horizon = horizon
        self.period = needed_period(period, look_back=look_back)

    def forward(self, past: Tensor) -> Tensor:
        """Forecasts (B, L, C) -> (B, H, C)."""
        season = past[:, -self.period :]
        repeats = -(-self.horizon // self.period)
        return season.repeat(1, repeats, 1)[:, : self.horizon]
