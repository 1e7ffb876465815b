"""ExactResume: a resumed fit equals one that was never stopped, bit for bit."""

import os
import random
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.precision import DoublePrecision
from torch import Tensor
from typing_extensions import override

from callbacks.weight_average import restore_trained_weights

_GRADIENTS = "accumulated_gradients"
_METRICS = "callback_metrics"


class ExactResume(Callback):
    """Keys every step's randomness on (seed, epoch, batch, rank), and saves half-accumulated gradients.

    Dropout and whatever else draws random numbers in a step then depends on where training is, not on what ran
    before in this process, so that no generator state has to be saved. The order of the batches follows the same
    idea, see `datamodules.base.TrainBatches`. A checkpoint between two optimizer steps of an accumulation holds the
    gradients gathered so far. One between a validation and the end of its epoch holds the metrics of that validation,
    which early stopping looks at when the epoch ends.
    """

    def __init__(self) -> None:
        self._gradients: dict[str, Tensor] = {}
        self._metrics: dict[str, Tensor] = {}

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for name, parameter in pl_module.named_parameters():
            if name in self._gradients:
                parameter.grad = self._gradients[name].to(parameter.device)
        self._gradients = {}
        trainer._logger_connector._callback_metrics.update(self._metrics)
        self._metrics = {}

    @override
    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        seed = int(os.environ.get("PL_GLOBAL_SEED", 0))
        state = np.random.SeedSequence([seed, trainer.current_epoch, batch_idx, trainer.global_rank]).generate_state(2)
        # torch.manual_seed would do both, and format a stack trace at each call: a millisecond per step.
        torch.default_generator.manual_seed(int(state[0]))
        if pl_module.device.type != "cpu":
            torch.get_device_module(pl_module.device).manual_seed_all(int(state[0]))
        np.random.seed(int(state[1]))  # noqa: NPY002  # what users' transforms may still draw from
        random.seed(int(state[1]))

    @override
    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.state.fn != "fit":
            return
        metrics = trainer.callback_metrics.items()
        checkpoint[_METRICS] = {name: torch.as_tensor(value).detach().cpu().clone() for name, value in metrics}
        if not trainer.fit_loop._should_accumulate():
            return
        checkpoint[_GRADIENTS] = {
            name: parameter.grad.detach().cpu().clone()
            for name, parameter in pl_module.named_parameters()
            if parameter.grad is not None
        }

    @override
    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._gradients = checkpoint.get(_GRADIENTS, {})
        self._metrics = checkpoint.get(_METRICS, {})
        if isinstance(trainer.precision_plugin, DoublePrecision):
            # Lightning makes the module double after loading it, when the weights have been rounded to float32.
            pl_module.double().load_state_dict(checkpoint["state_dict"], strict=pl_module.strict_loading)
        if trainer.state.fn == "fit":
            # The state dict of an averaged run holds the average, which the optimizer's state does not belong to.
            restore_trained_weights(pl_module, checkpoint)
