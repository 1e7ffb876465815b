"""FeatureRows: dataset of rows of a feature table."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class FeatureRows:
    """Dataset of some rows of a feature table.

    Attributes:
        arrays: `numbers`, `categories` and `vectors` of all rows, each only where there are such features; `target`
            except for `predict`.
        positions: The rows, int64.
    """

    arrays: dict[str, Tensor]
    positions: np.ndarray

    def __len__(self) -> int:
        return len(self.positions)

    def __getitems__(self, indices: np.ndarray) -> dict[str, Tensor]:
        """Gathers the batch of an array of indices into `positions`."""
        rows = torch.from_numpy(self.positions[indices])
        return {"row": rows, **{name: value[rows] for name, value in self.arrays.items()}}
