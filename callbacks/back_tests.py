"""Back-tests of an AutoForecaster: whether choosing on validation paid earlier, inside of the training rows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from datamodules import ForecastingDataModule
from models.forecasting.auto import AutoForecaster, Candidate
from models.forecasting.forecaster import Forecaster

_FOLDS = ((0.4, 0.5, 0.7), (0.6, 0.7, 1.0))
"""Ends of training, validation and test of each fold, as shares of the training rows."""

Fit = Callable[[str, Candidate, ForecastingDataModule], tuple[Forecaster, float] | None]
"""Fits a candidate to data: the forecaster and its validation MSE; None where it does not fit."""


@dataclass(frozen=True)
class BackTest:
    """One fold.

    Attributes:
        rows: First and last row that was tested on.
        chosen: Candidate in closed form with the lowest validation error of the fold.
        error: Its MSE on the rows after it.
        anchor: Naive forecast with the lowest validation error.
        anchor_error: Its MSE on the same rows.
    """

    rows: tuple[int, int]
    chosen: str
    error: float
    anchor: str
    anchor_error: float

    @property
    def lost(self) -> bool:
        """Whether the choice was worse than the naive forecast."""
        return self.error >= self.anchor_error

    def describe(self) -> str:
        """The fold in words."""
        ratio = self.error / self.anchor_error
        return (
            f"{self.chosen} had {ratio:.2f} times the error of {self.anchor} on rows {self.rows[0]} to {self.rows[1]}"
        )


def back_tests(module: AutoForecaster, data: ForecastingDataModule, fit: Fit) -> list[BackTest]:
    """Chooses among candidates in closed form on parts of the training rows, and tests the choice on those after them.

    Args:
        module: With its candidates fitted in closed form.
        data: The data.
        fit: Fits a candidate.

    Returns:
        The folds that have enough rows, none where nothing is fitted in closed form or there is no anchor.
    """
    fitted = {
        name: candidate
        for name, candidate in module.candidates.items()
        if candidate.is_closed_form and name in module.member_names
    }
    if not (set(fitted) & set(module.anchors) and set(fitted) - set(module.anchors)):
        return []
    end, found = data.boundaries[0], []
    for fold in _FOLDS:
        split = tuple(int(share * end) for share in fold)
        results: dict[str, tuple[float, float]] = {}
        for name, candidate in fitted.items():
            own = data.with_look_back(candidate.look_back_of(module.sizes), batch_size=candidate.batch_size)
            own.split = (split[0], split[1], split[2])
            made = fit(name, candidate, own)
            if made is not None:
                results[name] = made[1], _error(made[0], own)
        anchors = [name for name in results if name in module.anchors]
        others = [name for name in results if name not in module.anchors]
        if anchors and others:
            chosen = min(others, key=lambda name: results[name][0])
            anchor = min(anchors, key=lambda name: results[name][0])
            found.append(BackTest((split[1], split[2]), chosen, results[chosen][1], anchor, results[anchor][1]))
    return found


@torch.no_grad()
def _error(member: Forecaster, data: ForecastingDataModule) -> float:
    """MSE on the test split of a fold, in standard units."""
    windows = data.dataset("test")
    total, count = 0.0, 0
    for indices in np.array_split(np.arange(len(windows)), -(-len(windows) // data.eval_batch_size)):
        batch = {name: value.to(member.device) for name, value in windows.__getitems__(indices).items()}
        output = member.eval().step(batch)
        total += float((output.predictions - output.targets).square().double().sum())
        count += output.weight if "future_mask" in batch else output.targets.numel()
    return total / max(count, 1)
