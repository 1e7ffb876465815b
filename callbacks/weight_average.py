"""Weight average: exponential moving average of the weights."""

from collections.abc import Iterator
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import FSDPStrategy
from torch import Tensor
from typing_extensions import override

_TRAINED = "trained_weights"


class WeightAverage(Callback):
    """Validates, tests and checkpoints the average of the weights, and trains the weights themselves.

    The average is what a checkpoint's `state_dict` holds, so that whatever loads it (test, export, a notebook) gets
    the weights that were validated. The weights being trained lie beside them and are put back on resume: without
    that, training would continue from the average. The decay rises with the number of steps, so that the average
    forgets the initial weights quickly.

    Args:
        decay: Weight of the past in each update, below 1.
    """

    def __init__(self, *, decay: float = 0.996) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay: {decay} given, it must be at least 0 and below 1")
        self.decay = decay
        self._average: dict[str, Tensor] | None = None
        self._last_step = 0
        self._swapped = False

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if isinstance(trainer.strategy, FSDPStrategy):
            raise ValueError("callbacks.WeightAverage does not work with sharded weights: use ddp, or leave it out")

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Not before: a resumed run has by now loaded its average, which fresh weights must not replace.
        if self._average is None:
            self._average = {name: weight.detach().clone() for name, weight in _weights(pl_module)}
        else:
            self._average = {name: weight.to(pl_module.device) for name, weight in self._average.items()}
        self._last_step = trainer.global_step

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self._last_step or self._average is None:
            return
        self._last_step = trainer.global_step
        decay = min(self.decay, (1 + self._last_step) / (10 + self._last_step))
        current = [weight.detach() for _, weight in _weights(pl_module)]
        torch._foreach_lerp_(list(self._average.values()), current, 1 - decay)

    @override
    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._swap(pl_module)

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._swap(pl_module)

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self._swapped:
            self._swap(pl_module)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leaves the average in the module: it is the result of the fit."""
        self._swap(pl_module)
        self._average = None

    @override
    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if self._average is None:
            return
        weights = checkpoint["state_dict"]
        checkpoint[_TRAINED] = {name: weights[name] for name in self._average}
        weights.update(self._average)

    @override
    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if _TRAINED in checkpoint and trainer.state.fn == "fit":
            self._average = {name: checkpoint["state_dict"][name].clone() for name in checkpoint[_TRAINED]}
            restore_trained_weights(pl_module, checkpoint)

    def _swap(self, pl_module: LightningModule) -> None:
        if self._average is None:
            return
        with torch.no_grad():
            for name, weight in _weights(pl_module):
                kept = weight.detach().clone()
                weight.copy_(self._average[name])
                self._average[name] = kept
        self._swapped = not self._swapped


def restore_trained_weights(pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
    """Puts back the weights that were being trained; the state dict of an averaged run holds the average."""
    with torch.no_grad():
        for name, weight in _weights(pl_module):
            if name in checkpoint.get(_TRAINED, {}):
                weight.copy_(checkpoint[_TRAINED][name])


def _weights(pl_module: LightningModule) -> Iterator[tuple[str, Tensor]]:
    """Trainable parameters by their name in the state dict; buffers are statistics, not weights."""
    return ((name, weight) for name, weight in pl_module.named_parameters() if weight.requires_grad)
