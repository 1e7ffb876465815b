"""Standardisation of columns with statistics that are part of the model."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Standardize(nn.Module):
    """(x - mean) / std per column, with training statistics as buffers, so that the model takes raw units.

    Args:
        num_columns: Number of columns C.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *, num_columns: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_columns))
        self.register_buffer("std", torch.ones(num_columns))

    def set_statistics(self, statistics: Sequence[Tensor]) -> None:
        """Sets mean and std, each (C,).

        Raises:
            ValueError: The number of columns differs.
        """
        mean, std = statistics
        if mean.shape != self.mean.shape:
            raise ValueError(f"the data has {len(mean)} columns, the model was built for {len(self.mean)}")
        self.mean.copy_(mean)
        self.std.copy_(std)

    def forward(self, raw: Tensor) -> Tensor:
        """Raw units to standard units, (..., C)."""
        return (raw - self.mean) / self.std

    def invert(self, standard: Tensor) -> Tensor:
        """Standard units to raw units, (..., C)."""
        return torch.addcmul(self.mean, standard, self.std)
