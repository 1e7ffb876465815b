"""Accuracy over folds as Xu et al. (How powerful are graph neural networks?, ICLR 2019) report it."""

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_app.runs.history import read_history


@dataclass(frozen=True)
class EpochOfFolds:
    """The epoch at which the mean curve over the folds is best.

    Its accuracy is an upper bound: the epoch is chosen by the graphs that the accuracy is measured on.

    Attributes:
        epoch: The epoch, from 0.
        mean: Mean accuracy of the folds at that epoch.
        deviation: Standard deviation over the folds.
    """

    epoch: int
    mean: float
    deviation: float


def is_xu_protocol(name: str | None) -> bool:
    """Whether a protocol is one of Xu et al.'s, e.g. `xu_10_folds`."""
    return name is not None and re.fullmatch(r"xu_\d+_folds", name) is not None


def best_mean_epoch(histories: Sequence[Path], *, metric: str = "val/accuracy") -> EpochOfFolds:
    """Finds the epoch with the best mean over the folds; of several, the first.

    Args:
        histories: `metrics.csv` of each fold's run, at least two.
        metric: What is averaged; higher is better.

    Raises:
        ValueError: The runs did not all validate in the same epochs.
    """
    curves = [_curve(history, metric) for history in histories]
    for history, curve in zip(histories, curves, strict=True):
        if not curve or curve.keys() != curves[0].keys():
            raise ValueError(
                f"{history}: {metric} stands there for {len(curve)} epochs, in {histories[0]} for {len(curves[0])}; "
                "a mean curve needs the same epochs in each fold: give all as many, without early stopping"
            )
    means = {epoch: statistics.fmean(curve[epoch] for curve in curves) for epoch in sorted(curves[0])}
    best = max(means, key=lambda epoch: means[epoch])
    return EpochOfFolds(best, means[best], statistics.stdev(curve[best] for curve in curves))


def _curve(history: Path, metric: str) -> dict[int, float]:
    """The last value of each epoch."""
    return {int(row["epoch"]): float(row[metric]) for row in read_history(history) if row.get(metric)}
