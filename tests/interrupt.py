"""A callback that ends its own process."""

import json
import os
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class Interrupt(Callback):
    """Sends a signal to its own process at one batch of the whole training, if `INTERRUPT` says so."""

    def __init__(self) -> None:
        self.at, self.moment, self.signal = json.loads(os.environ.get("INTERRUPT", '[-1, "train", 9]'))

    def _strike(self, trainer: Trainer, moment: str) -> None:
        if moment == self.moment and trainer.fit_loop.epoch_loop.total_batch_idx == self.at:
            os.kill(os.getpid(), self.signal)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._strike(trainer, "train")

    def on_validation_batch_start(self, trainer: Trainer, *args: Any) -> None:
        self._strike(trainer, "validation")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._strike(trainer, "start")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._strike(trainer, "epoch end")  # before the checkpoint of the epoch's end, after that of its validation
