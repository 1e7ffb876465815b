"""TrajectoryHead, an output layer: quantiles of a whole trajectory from a hidden vector."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from typing_extensions import override

_MAX_LOG_SCALE = 2.0
_MAX_SKEW = 0.5


class TrajectoryHead(nn.Module):
    """Quantiles of a whole trajectory, as corrections of the empirical quantiles of the training data.

    The empirical quantiles are shifted, widened and skewed by smooth functions of the horizon: mixtures of a few bumps
    whose weights are linear in the hidden vector. All corrections start at zero, so that the untrained head returns the
    empirical quantiles. Quantiles never cross: gaps between neighbours are only multiplied by positive numbers.

    Args:
        hidden_size: Features of the hidden vector, E.
        horizon: Steps of the trajectory, H.
        quantiles: Levels in (0, 1), ascending, an odd number with the median in the middle.
        num_bumps: Number of bump functions of the horizon, K.
    """

    base: Tensor
    bumps: Tensor

    def __init__(self, *, hidden_size: int, horizon: int, quantiles: Sequence[float], num_bumps: int = 8) -> None:
        super().__init__()
        levels = list(quantiles)
        middle = len(levels) // 2
        if len(levels) % 2 == 0 or sorted(set(levels)) != levels or levels[middle] != 0.5 or not levels[0] > 0:
            raise ValueError(f"quantiles: {levels} given, ascending levels with 0.5 in the middle are needed")
        for name, value in (("horizon", horizon), ("num_bumps", num_bumps)):
            if value < 1:
                raise ValueError(f"{name}: {value} given, at least 1 is needed")
        self.horizon = horizon
        self.quantiles = levels
        self.middle = middle
        self.num_bumps = num_bumps
        # Quantiles of a standard random walk until `set_base` replaces them.
        normal = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(levels))
        self.register_buffer("base", normal.repeat(horizon, 1))  # (H, Q)
        position = torch.linspace(0, num_bumps - 1, horizon)
        self.register_buffer(
            "bumps", (-((position - torch.arange(num_bumps)[:, None]) ** 2)).softmax(dim=0), persistent=False
        )  # (K, H)
        self.correction = nn.Linear(hidden_size, 3 * num_bumps)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)
        self.log_gaps = nn.Parameter(torch.zeros(num_bumps, len(levels) - 1))

    def set_base(self, base: Tensor) -> None:
        """Sets the empirical quantiles.

        Args:
            base: (H, Q), ascending along Q.
        """
        self.base.copy_(base)

    @override
    def forward(self, hidden: Tensor) -> Tensor:
        """Computes the quantiles of the trajectory that follows each hidden vector.

        Args:
            hidden: (..., E).

        Returns:
            (..., H, Q), in the units of the empirical quantiles.
        """
        weights = self.correction(hidden).unflatten(-1, (3, self.num_bumps))
        shift, log_scale, skew = (weights @ self.bumps).unsqueeze(-1).unbind(-3)  # each (..., H, 1)
        gaps = self.base.diff(dim=-1) * (self.bumps.T @ self.log_gaps).exp()  # (H, Q - 1)
        below = -gaps[:, : self.middle].flip(-1).cumsum(-1).flip(-1)  # (H, M): distance below the median
        above = gaps[:, self.middle :].cumsum(-1)
        scale = log_scale.clamp(-_MAX_LOG_SCALE, _MAX_LOG_SCALE).exp()
        lean = _MAX_SKEW * skew.tanh()
        median = self.base[:, self.middle : self.middle + 1] + shift
        return torch.cat([median + below * scale * (1 - lean), median, median + above * scale * (1 + lean)], dim=-1)
