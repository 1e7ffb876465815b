"""Ascending quantiles: raw outputs of a network as levels that cannot cross."""

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
