"""Anchored choice: members that validation chooses, unless their mean does not clearly beat a naive forecast."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.forecasting.member_choice import largest_subset, standard_errors

_QUARTERS = 4
_LEAST_WINDOWS = 8
"""Windows of a quarter; with fewer in all, validation is taken in fewer parts."""


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
    products: Tensor,
    *,
    counts: Tensor,
    anchors: Sequence[int],
    names: Sequence[str],
    block: int,
    doubts: Sequence[str] = (),
) -> AnchoredChoice:
    """Chooses members, or the best anchor alone where their mean is not clearly better.

    Members are those of `largest_subset`. Their mean is clearly better where its error is lower than the anchor's by
    more than the standard error of the difference, lower in every quarter of the validation windows, and no back-test
    speaks against it: on markets most models beat a random walk in some part of the past.

    Args:
        products: Sums of the products of the members' errors in each window, in order of time, (N, M, M).
        counts: Errors in each window, (N,).
        anchors: Indices of the members that are naive forecasts; none switches the rule off.
        names: Of the members.
        block: Windows that have errors in common: the horizon.
        doubts: What speaks against any choice but an anchor, in words, such as back-tests that were lost.
    """
    products, counts = products.double(), counts.double()
    choice = largest_subset(products, counts=counts, block=block)
    errors = choice.member_errors
    anchor = min(anchors, key=lambda index: errors[index], default=None)
    if anchor is None or choice.members == (anchor,):
        return AnchoredChoice(choice.members, choice.error, errors, choice.describe(list(names)))
    weights = torch.zeros(2, len(errors), dtype=torch.float64)
    weights[0, list(choice.members)] = 1 / len(choice.members)
    weights[1, anchor] = 1.0
    deviation = float(standard_errors(products, counts, weights, best=1, block=block)[0])
    gain = errors[anchor] - choice.error
    parts = max(1, min(_QUARTERS, len(products) // _LEAST_WINDOWS))
    own = torch.einsum("nij,i,j->n", products, weights[0], weights[0])
    quarters = [float(part.sum()) for part in (products[:, anchor, anchor] - own).tensor_split(parts)]
    lost = sum(quarter <= 0 for quarter in quarters)
    unclear = list(doubts)
    if lost:
        unclear.append(f"not better in {lost} of {len(quarters)} parts of validation")
    if not math.isnan(deviation) and gain <= deviation:
        unclear.append("not better by more than a standard error")
    naive, ratio = names[anchor], choice.error / errors[anchor]
    against = f"{ratio:.3f} times the error of {naive} (MSE {errors[anchor]:.4g}"
    against += ")" if math.isnan(deviation) else f", standard error of the ratio {deviation / errors[anchor]:.3f})"
    if unclear:
        best = " + ".join(names[index] for index in choice.members)
        why = f"{naive} alone: {best} had {against}, and {'; '.join(unclear)}"
        return AnchoredChoice((anchor,), errors[anchor], errors, why)
    why = f"{choice.describe(list(names))}; {against}, less in every part of validation"
    return AnchoredChoice(choice.members, choice.error, errors, why)
