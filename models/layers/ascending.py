"""Ascending quantiles: raw outputs of a network as levels that cannot cross."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def ascending(raw: Tensor) -> Tensor:
    """Non-crossing quantiles (..., Q), Q odd: the middle output plus and minus positive increments."""
    middle = raw.shape[-1] // 2
    center = raw[..., middle : middle + 1]
    below = F.softplus(raw[..., :middle]).flip(-1).cumsum(dim=-1).flip(-1)
    above = F.softplus(raw[..., middle + 1 :]).cumsum(dim=-1)
    return torch.cat([center - below, center, center + above], dim=-1)


def ascending_levels(quantiles: Sequence[float]) -> tuple[float, ...]:
    """Checks levels for `ascending`, which needs a median to start from."""
    if len(quantiles) % 2 == 0 or quantiles[len(quantiles) // 2] != 0.5:
        raise ValueError(f"quantiles: {list(quantiles)} given, an odd number with 0.5 in the middle is needed")
    return tuple(quantiles)
