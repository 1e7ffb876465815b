"""Xu protocol: accuracy over folds as Xu et al. (How Powerful are Graph Neural Networks?, ICLR 2019) report it."""

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_app.runs.history import read_history


@dataclass(frozen=True)
class EpochOfFolds:
    """Epoch with the best mean accuracy over the folds.

    The accuracy is an upper bound: the epoch is selected on the same graphs that the accuracy is measured on.

    Attributes:
        epoch: Epoch, from 0.
        mean: Mean accuracy over the folds at that epoch.
        deviation: Standard deviation over the folds.
    """

    epoch: int
    mean: float
    deviation: float


def is_xu_protocol(name: str | None) -> bool:
    """Whether a protocol is one of Xu et al., e.g. `xu_10_folds`."""
    return name is not None and re.fullmatch(r"xu_\d+_folds", name) is not None


def best_mean_epoch(histories: Sequence[Path], *, metric: str = "val/accuracy") -> EpochOfFolds:
    """Selects the epoch with the best mean over the folds; the first one in a tie.

    Args:
        histories: `metrics.csv` of each fold's run, at least two.
        metric: Metric to average; higher is better.

    Raises:
        ValueError: The runs were not all validated in the same epochs.
    """
    curves = [_curve(history, metric) for history in histories]
    for history, curve in zip(histories, curves, strict=True):
        if not curve or curve.keys() != curves[0].keys():
            raise ValueError(
                f"{history}: {metric} was logged in {len(curve)} epochs, in {histories[0]} in {len(curves[0])}; a mean "
                "curve needs the same epochs in each fold: train all folds equally long, without early stopping"
            )
    means = {epoch: statistics.fmean(curve[epoch] for curve in curves) for epoch in sorted(curves[0])}
    best = max(means, key=lambda epoch: means[epoch])
    return EpochOfFolds(best, means[best], statistics.stdev(curve[best] for curve in curves))


def _curve(history: Path, metric: str) -> dict[int, float]:
    """Last value of the metric in each epoch."""
    return {int(row["epoch"]): float(row[metric]) for row in read_history(history) if row.get(metric)}
