"""Statistics of training rows: moments and quantiles of numbers, moments of targets, which numbers may be missing."""

import torch
from torch import Tensor

NUM_QUANTILES = 721
"""Levels of the quantiles, equidistant from 0 to 1; 720 intervals are divided evenly by most numbers of bins."""


def target_statistics(target: Tensor) -> dict[str, Tensor]:
    """`target_mean` and `target_std` of a label of numbers; the deviation is 1 if all are equal.

    Args:
        target: float32 (N,).
    """
    deviation = target.double().std(correction=0)
    return {
        "target_mean": target.double().mean().float(),
        "target_std": deviation.where(deviation > 0, 1.0).float(),
    }


def class_counts(target: Tensor, *, num_classes: int) -> dict[str, Tensor]:
    """`class_counts`: rows of each class, int64 (C,).

    Args:
        target: Class indices, int64 (N,).
        num_classes: Number of classes, C.
    """
    return {"class_counts": target.bincount(minlength=num_classes)}


def number_statistics(numbers: Tensor) -> dict[str, Tensor]:
    """`mean` and `std` of the known values, and `may_miss`, 1 where a value is missing, each (F,).

    Args:
        numbers: float32 (N, F), NaN where missing.
    """
    numbers = numbers.double()
    missing = numbers.isnan()
    count = (~missing).sum(dim=0).clamp_min(1)
    mean = numbers.nansum(dim=0) / count
    deviation = ((numbers - mean).nan_to_num(nan=0.0).square().sum(dim=0) / count).sqrt()
    return {
        "mean": mean.float(),
        "std": deviation.where(deviation > 0, 1.0).float(),
        "may_miss": missing.any(dim=0).float(),
    }


def number_quantiles(numbers: Tensor) -> Tensor:
    """Quantiles of the known values of each column, linear between two values; zeros for a column without one.

    Args:
        numbers: float32 (N, F), NaN where missing.

    Returns:
        float32 (F, NUM_QUANTILES), ascending.
    """
    levels = torch.linspace(0, 1, NUM_QUANTILES, dtype=torch.float64)
    quantiles = torch.zeros(numbers.shape[1], NUM_QUANTILES)
    for column, values in enumerate(numbers.T):
        known = values[~values.isnan()].sort().values.double()
        if not len(known):
            continue
        positions = levels * (len(known) - 1)
        below = positions.floor().long()
        above = (below + 1).clamp_max(len(known) - 1)
        quantiles[column] = known[below] + (positions - below) * (known[above] - known[below])
    return quantiles
