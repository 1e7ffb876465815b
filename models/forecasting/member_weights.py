"""Member weights: a mean of members that validation weighs, nearer to equal weights the fewer horizons it has."""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.forecasting.member_choice import MOST_MEMBERS

LEAST_WEIGHT = 0.02
"""Members below it are left out: each costs as much as any other when a forecast is asked for."""


def shrunken_weights(products: Tensor, *, counts: Tensor, horizon: int) -> Tensor:
    """Weights of the lowest validation MSE, shrunk to equal ones as validation is short.

    They minimise w' (A + H / N * s * I) w over weights of sum one that are not negative: A is the mean product of the
    members' errors over the N windows, s the median of the members' MSEs. The second term stands for one more horizon
    of windows, in which all members err alike and independently: it asks for equal weights (compare Diebold & Pauly,
    1990), and counts for as much as any one of the N / H horizons, as windows that overlap are not independent. The
    minimum is exact: every support of the weights is solved for.

    Args:
        products: Sums of the products of the members' errors in each window, (N, M, M).
        counts: Errors in each window, (N,).
        horizon: Rows of a forecast, H; windows start at each row.

    Returns:
        (M,), float64; what is below `LEAST_WEIGHT` is 0.
    """
    windows, size = products.shape[:2]
    if not 1 <= size <= MOST_MEMBERS:
        raise ValueError(f"{size} members given, 1 to {MOST_MEMBERS} are allowed: all their subsets are solved for")
    total = float(counts.sum())
    if not total:
        raise ValueError("no validation window has an observed value to weigh members on")
    mean = products.double().sum(dim=0) / total
    scale = float(mean.diagonal().median())
    if not scale:  # half of the members forecast without any error
        mean, scale = mean + 1e-12 * torch.eye(size, dtype=torch.float64), 1e-12
    shrunken = mean + min(1.0, horizon / max(1, windows)) * scale * torch.eye(size, dtype=torch.float64)
    return without_small(_lowest(shrunken / scale))


def without_small(weights: Tensor) -> Tensor:
    """Weights of sum one without those below `LEAST_WEIGHT`.

    Args:
        weights: (M,).
    """
    kept = weights.where(weights >= min(LEAST_WEIGHT, float(weights.max())), 0.0)
    return kept / kept.sum()


def describe_weights(weights: Sequence[float], names: Sequence[str]) -> str:
    """The members and their weights, the largest first.

    Args:
        weights: Of all members.
        names: Of all members.
    """
    taken = sorted(((weight, name) for weight, name in zip(weights, names, strict=True) if weight), reverse=True)
    if len(taken) == 1:
        return taken[0][1]
    return " + ".join(f"{weight:.2f} {name}" for weight, name in taken)


def mean_error(products: Tensor, counts: Tensor, weights: Tensor) -> float:
    """MSE of the weighted mean.

    Args:
        products: See `shrunken_weights`.
        counts: See `shrunken_weights`.
        weights: (M,), float64.
    """
    return float(weights @ products.double().sum(dim=0) @ weights / counts.sum())


def _lowest(matrix: Tensor) -> Tensor:
    """The w >= 0 of sum one that minimises w' A w, for a positive definite A (M, M)."""
    size = len(matrix)
    numbers = torch.arange(1, 2**size)[:, None]
    support = (numbers >> torch.arange(size) & 1).double()  # (2^M - 1, M)
    blocks = matrix * support[:, :, None] * support[:, None] + torch.diag_embed(1 - support)
    solved = torch.linalg.solve(blocks, support)
    sums = solved.sum(dim=1)  # the minimum over a support is 1 / sum
    sums = sums.where((solved >= 0).all(dim=1), 0.0)
    best = int(sums.argmax())
    return solved[best] / sums[best]
