"""Anchored choice: weights of members, where richer members have to beat simpler ones clearly on validation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.forecasting.member_choice import standard_errors
from models.forecasting.member_weights import describe_weights, mean_error, shrunken_weights, without_small

_QUARTERS = 4
_LEAST_WINDOWS = 8
"""Windows of a quarter; with fewer in all, validation is taken in fewer parts."""


@dataclass(frozen=True)
class AnchoredChoice:
    """Weights of the members, and why.

    Attributes:
        weights: Of all members, of sum one.
        error: MSE of their weighted mean.
        member_errors: MSE of each member.
        reason: Why these weights, in words.
    """

    weights: tuple[float, ...]
    error: float
    member_errors: tuple[float, ...]
    reason: str


def anchored_choice(
    products: Tensor,
    *,
    counts: Tensor,
    names: Sequence[str],
    anchors: Sequence[int],
    closed_forms: Sequence[int],
    horizon: int,
    back_tests: int = 0,
    doubts: Sequence[str] = (),
) -> AnchoredChoice:
    """Weighs members on validation, in steps from the simplest kind up: each is taken in whole, by half or not.

    The best naive forecast is where it starts. The first step goes to naive forecasts and closed forms weighed
    together, the second to all members weighed together, see `shrunken_weights`. A step is taken in whole where it is
    clearly better: in every quarter of the validation windows, and by more than the standard error of the difference,
    in blocks of two horizons. Else it is taken by half, which bounds what a wrong step costs: the mean of two forecasts
    errs at most as much as they do on average. Where validation has less than the four horizons that a standard error
    takes, the second step is taken by half, and so is the first unless a back-test was won. A back-test that was lost
    forbids both: on markets most models beat a random walk in some part of the past.

    Args:
        products: Sums of the products of the members' errors in each window, in order of time, (N, M, M).
        counts: Errors in each window, (N,).
        names: Of the members.
        anchors: Indices of the naive forecasts; with none, all members are weighed together.
        closed_forms: Indices of the members in closed form.
        horizon: Rows of a forecast.
        back_tests: Parts of the training rows on which closed forms were compared with naive forecasts.
        doubts: Those of them that a naive forecast won, in words.
    """
    products, counts = products.double(), counts.double()
    size = len(names)
    errors = tuple((products.sum(dim=0).diagonal() / counts.sum()).tolist())
    if not anchors:
        weights = _weigh(products, counts, range(size), horizon)
        return AnchoredChoice(_floats(weights), mean_error(products, counts, weights), errors, _said(weights, names))
    anchor = min(anchors, key=lambda index: errors[index])
    weights = torch.eye(size, dtype=torch.float64)[anchor]
    before, notes = f"{names[anchor]} (MSE {errors[anchor]:.4g})", []
    simple = sorted({*anchors, *closed_forms})
    steps = [("closed forms", simple)] if len(simple) > len(anchors) else []
    if len(simple) < size:
        steps.append(("all candidates", list(range(size))))
    for kind, members in steps:
        richer = _weigh(products, counts, members, horizon)
        if torch.equal(richer, weights):
            continue
        found = _Comparison.of(products, counts, richer, weights, horizon)
        line = f"{kind} ({_said(richer, names)}) had {found.ratio:.3f} times the error of {before}"
        line += "" if math.isnan(found.deviation) else f", standard error {found.deviation:.3f}"
        needs_more = math.isnan(found.deviation) and not (kind == "closed forms" and back_tests)
        unclear = found.doubts + (["validation has fewer than four horizons"] if needs_more else [])
        if doubts:
            notes.append(f"{line}, and are not taken: {'; '.join(doubts)}")
            continue
        if unclear:
            richer = (richer + weights) / 2
            notes.append(f"{line}, and are taken by half: {'; '.join(unclear)}")
        else:
            notes.append(f"{line}, less in every part of validation")
        weights, before = richer, "that"
    weights = without_small(weights)
    reason = ": ".join([_said(weights, names), *(["; ".join(notes)] if notes else [])])
    return AnchoredChoice(_floats(weights), mean_error(products, counts, weights), errors, reason)


@dataclass(frozen=True)
class _Comparison:
    """Richer weights against those taken so far.

    Attributes:
        ratio: Of their MSEs.
        deviation: Standard error of the ratio; NaN with too few windows.
        doubts: Why they are not clearly better, in words.
    """

    ratio: float
    deviation: float
    doubts: list[str]

    @classmethod
    def of(cls, products: Tensor, counts: Tensor, richer: Tensor, taken: Tensor, horizon: int) -> "_Comparison":
        both = torch.stack([richer, taken])
        error = mean_error(products, counts, taken)
        deviation = float(standard_errors(products, counts, both, best=1, block=2 * horizon)[0])
        parts = max(1, min(_QUARTERS, len(products) // _LEAST_WINDOWS))
        of_windows = torch.einsum("nij,si,sj->sn", products, both, both)
        gains = (of_windows[1] - of_windows[0]).tensor_split(parts)
        gain = error - mean_error(products, counts, richer)
        lost = sum(float(part.sum()) <= 0 for part in gains)
        doubts = [f"not better in {lost} of {parts} parts of validation"] if lost else []
        if not math.isnan(deviation) and gain <= deviation:
            doubts.append("not better by more than a standard error")
        scale = max(error, 1e-300)
        return cls(1 - gain / scale, deviation / scale, doubts)


def _weigh(products: Tensor, counts: Tensor, members: Sequence[int], horizon: int) -> Tensor:
    index = torch.tensor(list(members))
    weights = torch.zeros(products.shape[1], dtype=torch.float64)
    weights[index] = shrunken_weights(products[:, index][:, :, index], counts=counts, horizon=horizon)
    return weights


def _said(weights: Tensor, names: Sequence[str]) -> str:
    return describe_weights(weights.tolist(), names)


def _floats(weights: Tensor) -> tuple[float, ...]:
    return tuple(weights.tolist())
