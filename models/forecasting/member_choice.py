"""Choice of ensemble members: the largest subset that validation cannot tell from the best one."""

import math
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

MOST_MEMBERS = 12
"""All 2^M subsets are evaluated."""
_SUBSETS_AT_ONCE = 512
_ROUNDING = 1e-9
"""Differences of errors below this share of the error are none: the means of equal members are equal."""


@dataclass(frozen=True)
class Choice:
    """Members whose mean forecast is taken, and why.

    Attributes:
        members: Indices of those taken, ascending.
        error: MSE of their mean.
        best: Indices of the subset whose mean has the lowest MSE, ascending.
        best_error: Its MSE.
        standard_error: Of the difference between the two MSEs; NaN with too few windows to estimate it.
        dropped: Indices of members that are too bad to enter any subset, ascending.
        member_errors: MSE of each member.
    """

    members: tuple[int, ...]
    error: float
    best: tuple[int, ...]
    best_error: float
    standard_error: float
    dropped: tuple[int, ...]
    member_errors: tuple[float, ...]

    def describe(self, names: list[str]) -> str:
        """One line: the members taken, those left and why.

        Args:
            names: Of all members.
        """
        lowest = min(self.member_errors)
        taken = ", ".join(names[index] for index in self.members)
        line = f"{len(self.members)} of {len(names)} members, MSE {self.error:.4g}: {taken}"
        if self.dropped:
            each = (f"{names[index]} ({self.member_errors[index] / lowest:.2f}x the best)" for index in self.dropped)
            line += f"; dropped: {', '.join(each)}"
        if left := [name for index, name in enumerate(names) if index not in (*self.members, *self.dropped)]:
            line += f"; left, more would be worse by more than the standard error: {', '.join(left)}"
        if math.isnan(self.standard_error):
            return line + "; too few windows for a standard error, none else is left"
        if self.members != self.best:
            line += (
                f"; the lowest MSE, {self.best_error:.4g} with {len(self.best)}, is lower by "
                f"{self.error - self.best_error:.2g}, standard error {self.standard_error:.2g}"
            )
        return line


def largest_subset(products: Tensor, *, counts: Tensor, block: int, margin: float = 1.10) -> Choice:
    """Finds the largest subset of members whose mean is within one standard error of the best subset's.

    Members with an MSE above `margin` times the lowest are dropped first. The standard error is that of the paired
    difference of two MSEs under a moving-block bootstrap over windows (Künsch, 1989), which for means needs no draws:
    with N windows, blocks of b and d the windows' differences about their mean, Var(sum d) = N / b * N / (N - b) times
    the mean square of the sums of d over all N - b + 1 blocks, the factor N / (N - b) correcting its bias (Meketon &
    Schmeiser, 1984). With less than two blocks there is no estimate, and no member but the dropped is left. Of subsets
    of equal size the one with the lowest MSE is taken.

    Args:
        products: Sums of the products of the members' errors in each window, in order of time, (N, M, M).
        counts: Errors in each window, (N,).
        block: Windows per block; at least the horizon, as windows that overlap have errors in common. Ensembles take
            two horizons: blocks of one find about four fifths of the deviation that overlapping windows have.
        margin: Highest MSE of a member relative to the lowest.
    """
    size = products.shape[1]
    if not 1 <= size <= MOST_MEMBERS:
        raise ValueError(f"{size} members given, 1 to {MOST_MEMBERS} are allowed: all their subsets are evaluated")
    if margin < 1 or block < 1:
        raise ValueError(f"margin {margin} and block {block} given, both are at least 1")
    products, counts = products.double(), counts.double()
    total = float(counts.sum())
    if not total:
        raise ValueError("no validation window has an observed value to choose members on")
    mean_products = products.sum(dim=0) / total
    member_errors = mean_products.diagonal().tolist()
    limit = margin * min(member_errors)
    allowed = [index for index in range(size) if member_errors[index] <= limit]
    subsets = [subset for count in range(len(allowed), 0, -1) for subset in combinations(allowed, count)]
    weights = torch.zeros(len(subsets), size, dtype=torch.float64)
    for row, subset in enumerate(subsets):
        weights[row, list(subset)] = 1 / len(subset)
    errors = ((weights @ mean_products) * weights).sum(dim=1)
    best = int(errors.argmin())
    deviations = standard_errors(products, counts, weights, best=best, block=block)
    excess = errors - errors[best]
    within = (excess <= deviations.nan_to_num(nan=math.inf)) | (excess <= _ROUNDING * errors[best])
    most = max(len(subset) for subset, good in zip(subsets, within.tolist(), strict=True) if good)
    equal = [row for row, subset in enumerate(subsets) if len(subset) == most and within[row]]
    taken = min(equal, key=lambda row: float(errors[row]))
    return Choice(
        members=subsets[taken],
        error=float(errors[taken]),
        best=subsets[best],
        best_error=float(errors[best]),
        standard_error=float(deviations[taken]),
        dropped=tuple(index for index in range(size) if index not in allowed),
        member_errors=tuple(member_errors),
    )


def standard_errors(products: Tensor, counts: Tensor, weights: Tensor, *, best: int, block: int) -> Tensor:
    """Standard errors of the differences between MSEs of means and that of one of them, see `largest_subset`.

    Args:
        products: See `largest_subset`, float64.
        counts: See `largest_subset`, float64.
        weights: Weights of the members in each mean, (S, M).
        best: Row of the mean that the others are compared with.
        block: Windows per block.

    Returns:
        (S,), NaN where there are too few windows for an estimate.
    """
    windows, size = len(products), len(weights[0])
    if windows < 2 * block:
        return torch.full((len(weights),), math.nan, dtype=torch.float64)
    flat, share = products.reshape(windows, size * size), (counts / counts.sum())[:, None]
    against = flat @ torch.outer(weights[best], weights[best]).flatten()[:, None]
    found = []
    for some in weights.split(_SUBSETS_AT_ONCE):
        difference = flat @ torch.einsum("sm,sn->mns", some, some).reshape(size * size, len(some)) - against  # (N, S)
        difference = difference - share * difference.sum(dim=0)
        running = torch.cat([difference.new_zeros(1, len(some)), difference.cumsum(dim=0)])
        of_blocks = running[block:] - running[:-block]
        variance = of_blocks.square().mean(dim=0) * windows**2 / (block * (windows - block))
        found.append(variance.sqrt() / counts.sum())
    return torch.cat(found)
