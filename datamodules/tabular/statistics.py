"""Statistics of training rows: moments of numbers and targets, which numbers may be missing."""

from torch import Tensor


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
