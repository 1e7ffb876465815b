"""Anchored choice: members that validation chooses, unless their mean does not clearly beat a naive forecast."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.forecasting.ensemble import best_subset

_QUARTERS = 4


@dataclass(frozen=True)
class AnchoredChoice:
    """Members whose mean forecast is taken, and why.

    Attributes:
        members: Indices of those taken, ascending.
        error: MSE of their mean.
        member_errors: MSE of each member.
        reason: Why they were taken, in words.
    """

    members: tuple[int, ...]
    error: float
    member_errors: tuple[float, ...]
    reason: str


def anchored_choice(
    products: Tensor, *, counts: Tensor, anchors: Sequence[int], names: Sequence[str], block: int
) -> AnchoredChoice:
    """Chooses members, or the best anchor alone where their mean is not clearly better.

    A mean is clearly better where its error is lower than the anchor's by more than the standard error of the
    difference, and lower in every quarter of the validation windows.

    Args:
        products: Sums of the products of the members' errors in each window, in order of time, (N, M, M).
        counts: Errors in each window, (N,).
        anchors: Indices of the members that are naive forecasts; none switches the rule off.
        names: Of the members.
        block: Windows that have errors in common: the horizon.
    """
    products, counts = products.double(), counts.double()
    if not counts.sum():
        raise ValueError("data: no validation window has an observed value to choose members on")
    whole = products.sum(dim=0) / counts.sum()
    errors = tuple(whole.diagonal().tolist())
    members, error = best_subset(whole)
    anchor = min(anchors, key=lambda index: errors[index], default=None)
    if anchor is None or members == (anchor,):
        return AnchoredChoice(members, error, errors, "lowest error on validation")
    own = products[:, list(members)][:, :, list(members)].mean(dim=(1, 2))
    difference = products[:, anchor, anchor] - own  # (N,), above 0 where the members are better
    gain = float(difference.sum() / counts.sum())
    deviation = standard_error(difference, counts, block=block)
    quarters = [float(part.sum()) for part in difference.tensor_split(_QUARTERS) if len(part)]
    against = f"{names[anchor]} by {gain / errors[anchor]:.1%} of its error, standard error {deviation / errors[anchor]:.1%}"
    if gain > deviation and min(quarters) > 0:
        return AnchoredChoice(members, error, errors, f"better than {against}, in every quarter of validation")
    lost = sum(quarter <= 0 for quarter in quarters)
    why = f"the best mean of others is better than {against}"
    if lost:
        why += f", and not better in {lost} of {len(quarters)} quarters of validation"
    return AnchoredChoice((anchor,), errors[anchor], errors, f"{why}: not clear enough")


def standard_error(difference: Tensor, counts: Tensor, *, block: int) -> float:
    """Standard error of a mean difference under a moving-block bootstrap (Künsch, 1989); infinite below two blocks.

    Args:
        difference: Sums of differences in each window, in order of time, (N,).
        counts: Values in each window, (N,).
        block: Windows per block.
    """
    size = len(difference)
    if size < 2 * block:
        return math.inf
    centred = difference - counts / counts.sum() * difference.sum()
    running = torch.cat([centred.new_zeros(1), centred.cumsum(dim=0)])
    of_blocks = running[block:] - running[:-block]
    variance = float(of_blocks.square().mean()) * size**2 / (block * (size - block))
    return math.sqrt(variance) / float(counts.sum())
