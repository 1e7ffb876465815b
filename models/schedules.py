"""Learning-rate schedules whose peak is the optimizer's `lr`, so that a sweep over `lr` changes one number."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


class OneCycle(LambdaLR):
    """Cosine rise from `lr / div_factor` to `lr`, then cosine fall to nearly zero (Smith & Topin, 2018).

    Args:
        optimizer: Its `lr` is the peak.
        total_steps: Optimizer steps of the whole fit; null takes them from the trainer.
        warmup: Fraction of the steps that rise.
        div_factor: Peak over starting rate.
        final_div_factor: Starting over final rate.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int | None = None,
        warmup: float = 0.2,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        total_steps = _required(total_steps, warmup)
        peak_step = max(1.0, warmup * total_steps - 1)
        last_step = max(peak_step + 1, total_steps - 1)
        start, end = 1 / div_factor, 1 / (div_factor * final_div_factor)

        def factor(step: int) -> float:
            if step <= peak_step:
                return _cosine(start, 1.0, step / peak_step)
            return _cosine(1.0, end, min(1.0, (step - peak_step) / (last_step - peak_step)))

        super().__init__(optimizer, factor)


class WarmupCosine(LambdaLR):
    """Linear rise from zero to `lr`, then cosine fall to `lr * floor` (Loshchilov & Hutter, 2017, one cycle).

    Args:
        optimizer: Its `lr` is the peak.
        total_steps: Optimizer steps of the whole fit; null takes them from the trainer.
        warmup: Fraction of the steps that rise.
        floor: Final rate over peak.
    """

    def __init__(
        self, optimizer: Optimizer, total_steps: int | None = None, warmup: float = 0.1, floor: float = 0.0
    ) -> None:
        total_steps = _required(total_steps, warmup)
        warmup_steps = max(1, round(warmup * total_steps))

        def factor(step: int) -> float:
            if step < warmup_steps:
                return (step + 1) / warmup_steps
            return _cosine(1.0, floor, min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps)))

        super().__init__(optimizer, factor)


class StagedDecay(LambdaLR):
    """Holds `lr` for the first stages of a fit, then multiplies it by a factor at the start of each further stage.

    A stage is a share of the fit, not an epoch: a short fit ends at the same rate as a long one. The defaults are those
    of Zaremba, Sutskever & Vinyals (2014), whose stages are 13 epochs: held for 4, then halved before each.

    Args:
        optimizer: Its `lr` is the rate of the first stages.
        total_steps: Optimizer steps of the whole fit; null takes them from the trainer.
        stages: Equal parts of the fit.
        held: Stages at `lr`.
        factor: Rate of a later stage over that of the one before it.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int | None = None,
        stages: int = 13,
        held: int = 4,
        factor: float = 0.5,
    ) -> None:
        total_steps = _positive(total_steps)
        if not 1 <= held <= stages:
            raise ValueError(f"model.scheduler.held: {held} given, 1 to {stages} (model.scheduler.stages) is needed")
        if not 0 < factor <= 1:
            raise ValueError(f"model.scheduler.factor: {factor} given, more than 0 and at most 1 is needed")

        def rate(step: int) -> float:
            stage = min(step * stages // total_steps, stages - 1)
            return factor ** max(0, stage - held + 1)

        super().__init__(optimizer, rate)


def _required(total_steps: int | None, warmup: float) -> int:
    if not 0 <= warmup <= 1:
        raise ValueError(f"model.scheduler.warmup: {warmup} given, a share of the steps from 0 to 1 is needed")
    return _positive(total_steps)


def _positive(total_steps: int | None) -> int:
    if total_steps is None or total_steps < 1:
        raise ValueError(f"total_steps: {total_steps} given, at least 1 is needed (the trainer fills it in at fit)")
    return total_steps


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
