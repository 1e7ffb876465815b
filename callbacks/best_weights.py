"""BestWeights: keeps the weights of the best validation in memory, for fits inside of a fit."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override


class BestWeights(Callback):
    """Keeps the state dict of the epoch with the lowest monitored metric.

    It has to be the first callback: `WeightAverage` puts the trained weights back at the end of a validation.

    Args:
        monitor: The metric, lower is better.

    Attributes:
        score: Its lowest value; None before the first validation with a finite one.
        state: The state dict then.
    """

    def __init__(self, *, monitor: str) -> None:
        self.monitor = monitor
        self.score: float | None = None
        self.state: dict[str, Any] = {}

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        value = float(trainer.callback_metrics[self.monitor])
        if value - value == 0 and (self.score is None or value < self.score):  # neither NaN nor infinite
            self.score = value
            self.state = {name: _copy(weight) for name, weight in pl_module.state_dict().items()}


def _copy(weight: Any) -> Any:
    return weight.detach().clone() if isinstance(weight, Tensor) else weight
