"""Statistics of a series: mean and deviation of training rows, naive error, checks of values against float32."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from features.series.series import Series

_MOST_DEVIATIONS = 1e16


def series_statistics(series: Series, end: int, *, channels: Sequence[str]) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and standard deviation of the observed values of the training rows.

    Args:
        series: The series.
        end: Number of training rows.
        channels: Names of the channels.

    Returns:
        `target` (C,), and, if the series has them, `past_covariates` (P,) and `future_covariates` (K,).

    Raises:
        ValueError: A channel varies too little around its mean for float32.
    """
    tables = {
        "target": np.where(series.observed[:end], series.values[:end], np.nan),
        "past_covariates": series.past_covariates[:end],
        "future_covariates": series.future_covariates[:end],
    }
    scales = {name: mean_and_std(table) for name, table in tables.items() if table.shape[1]}
    mean, std = scales["target"]
    flat = (std < mean.abs() * 8 * torch.finfo(torch.float32).eps).nonzero()
    if len(flat):
        raise ValueError(
            f"channel {channels[int(flat[0])]!r} varies by {std[flat[0]].item():.3g} around "
            f"{mean[flat[0]].item():.3g}, which float32 cannot distinguish: subtract a constant from it"
        )
    return scales


def check_deviations(series: Series, mean: Tensor, std: Tensor, *, channels: Sequence[str]) -> None:
    """Raises on values so far from the training data that their squared error exceeds float32.

    Args:
        series: The series.
        mean: Of the training rows, (C,).
        std: Of the training rows, (C,).
        channels: Names of the channels.
    """
    apart = np.abs(series.values - mean.double().numpy()) / std.double().numpy()  # (T, C)
    row, channel = np.unravel_index(apart.argmax(), apart.shape)
    if apart[row, channel] > _MOST_DEVIATIONS:
        raise ValueError(
            f"channel {channels[channel]!r} holds {series.values[row, channel]:g} at {series.times[row]}, "
            f"{apart[row, channel]:.1e} standard deviations from the mean of its training rows; mend the value"
        )


def naive_error(values: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Mean absolute difference of neighbouring observed rows, by channel.

    Args:
        values: float64 (T, C).
        observed: bool (T, C).
    """
    both = observed[1:] & observed[:-1]
    total: np.ndarray = (np.abs(np.diff(values, axis=0)) * both).sum(axis=0)
    return total / np.maximum(both.sum(axis=0), 1)


def mean_and_std(table: np.ndarray) -> tuple[Tensor, Tensor]:
    """Mean and deviation of columns, float32; the deviation of a constant column is 1."""
    mean, std = np.nanmean(table, axis=0), np.nanstd(table, axis=0)
    std = np.where(std > 0, std, 1.0)  # constant columns are centred only
    return torch.tensor(mean, dtype=torch.float32), torch.tensor(std, dtype=torch.float32)
