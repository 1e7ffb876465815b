"""PairedGainError, a metric: standard error of the gain of a forecast over a reference at the same origins."""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class PairedGainError(Metric):
    """Standard error of the mean gain, with blocks of time as the independent observations.

    Trajectories of neighbouring origins overlap, and series move together on a day: origins are no independent
    observations. All origins of a block of `block_size` days are taken as one; with blocks as long as the horizon, only
    neighbouring blocks overlap.

    Args:
        block_size: Days of a block.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False
    blocks: list[Tensor]
    gains: list[Tensor]

    def __init__(self, *, block_size: int) -> None:
        super().__init__()
        self.block_size = block_size
        self.add_state("blocks", default=[], dist_reduce_fx="cat")
        self.add_state("gains", default=[], dist_reduce_fx="cat")

    def update(self, days: Tensor, gains: Tensor) -> None:
        """Adds origins.

        Args:
            days: Day of each origin, the same number for the same day of every series, int64 (N,).
            gains: Loss of the reference minus loss of the forecast, (N,).
        """
        self.blocks.append(days)
        self.gains.append(gains.detach().double())

    def compute(self) -> Tensor:
        """The standard error; infinite with fewer than two blocks, which show no spread."""
        days, gains = (dim_zero_cat(parts or [torch.zeros(0)]) for parts in (self.blocks, self.gains))
        first = days.min() if len(days) else 0
        numbers, block = ((days - first) // self.block_size).unique(return_inverse=True)
        num_blocks = len(numbers)
        if num_blocks < 2:
            return torch.tensor(torch.inf)
        # Ratio estimator: residuals of block sums around the mean of all origins, as blocks differ in size.
        residuals = gains.new_zeros(num_blocks).index_add(0, block, gains - gains.mean())
        variance = residuals.square().sum() * num_blocks / (num_blocks - 1)
        return (variance.sqrt() / len(gains)).float()
