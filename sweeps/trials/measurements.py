"""Measurements of a fit: number of parameters, latency of a validation batch, peak memory."""

import resource
import statistics
import sys
import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from typing_extensions import override

_KIB = 1024
_MIB = 1024 * 1024


class Measurements(Callback):
    """Measures a fit while it runs, without extra passes.

    The module's parameters are counted before a strategy shards them. A rank measures itself: its own batches and
    memory.

    Args:
        max_parameters: A module with more fitted parameters stops before its first step.
    """

    def __init__(self, *, max_parameters: float | None = None) -> None:
        self.max_parameters = max_parameters
        self._num_parameters: int | None = None
        self._resident_at_start = _peak_resident()
        self._cuda: torch.device | None = None
        self._latest: list[float] = []
        self._batches: list[float] = []
        self._start = 0.0

    def found(self) -> dict[str, float]:
        """What was measured so far.

        Returns:
            `parameters`, the number of fitted parameters; `latency`, the median wall time of a batch of the latest
            validation in milliseconds, once there was one; `memory` in MiB, the most that tensors took on the GPU, or,
            on the CPU, by how much the peak of the process's resident memory grew since the callback was made.
        """
        found = {"memory": self._memory()}
        if self._num_parameters is not None:
            found["parameters"] = float(self._num_parameters)
        if self._latest:
            found["latency"] = 1000 * statistics.median(self._latest)
        return found

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._num_parameters = sum(
            parameter.numel()
            for parameter in pl_module.parameters()
            if parameter.requires_grad and not isinstance(parameter, nn.UninitializedParameter)
        )
        device = trainer.strategy.root_device
        if device.type == "cuda":
            self._cuda = device
            torch.cuda.reset_peak_memory_stats(device)
        if self.max_parameters is not None and self._num_parameters > self.max_parameters:
            trainer.num_sanity_val_steps = 0
            trainer.fit_loop.min_epochs = trainer.fit_loop.epoch_loop.min_steps = None
            trainer.should_stop = True

    @override
    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._batches = []

    @override
    def on_validation_batch_start(self, *args: Any, **kwargs: Any) -> None:
        self._start = self._now()

    @override
    def on_validation_batch_end(self, *args: Any, **kwargs: Any) -> None:
        self._batches.append(self._now() - self._start)

    @override
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self._latest = self._batches

    def _now(self) -> float:
        if self._cuda is not None:
            torch.cuda.synchronize(self._cuda)
        return time.perf_counter()

    def _memory(self) -> float:
        if self._cuda is not None:
            return torch.cuda.max_memory_allocated(self._cuda) / _MIB
        return (_peak_resident() - self._resident_at_start) / _MIB


def _peak_resident() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIB
