"""FasterPrecision: bfloat16 on a CPU only where it is faster than float32."""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.precision import Precision
from typing_extensions import override

from models.base import BaseModule

_HALF, _SINGLE = "bf16-mixed", "32-true"
_TRIALS = 2


class FasterPrecision(Callback):
    """Measures the first batch of a fit in `bf16-mixed` and in float32, and trains in float32 unless bfloat16 wins.

    Some CPUs compute in bfloat16, on others it is emulated and slower. CPU seconds of forward and backward decide, as
    they hardly depend on what else the machine does; one line says what was found. The choice is part of checkpoints,
    so that a resumed fit goes on as it began, on another machine too. Outside a fit, CPUs compute in float32.
    With another `trainer.precision`, or on a GPU, nothing is measured and nothing changed.

    Args:
        least_gain: Seconds in float32 over seconds in bfloat16 from which on bfloat16 is taken.
    """

    def __init__(self, *, least_gain: float = 1.1) -> None:
        if least_gain < 1:
            raise ValueError(f"callbacks.FasterPrecision: least_gain {least_gain} given, at least 1 is needed")
        self.least_gain = least_gain
        self._chosen: str | None = None

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit" and _may_change(trainer):
            trainer.strategy.precision_plugin = Precision()

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._chosen == _SINGLE and _may_change(trainer):
            trainer.strategy.precision_plugin = Precision()

    @override
    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self._chosen is not None or not _may_change(trainer):
            return
        if not isinstance(pl_module, BaseModule):
            raise ValueError(f"callbacks.FasterPrecision: {type(pl_module).__name__} is no BaseModule: leave it out")
        half = trainer.strategy.precision_plugin
        with _unchanged(pl_module), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of parts that this CPU has in float32 alone
            gain = _cpu_seconds(pl_module, batch, Precision()) / _cpu_seconds(pl_module, batch, half)
        gain = trainer.strategy.broadcast(gain)
        self._chosen = _HALF if gain >= self.least_gain else _SINGLE
        if self._chosen == _SINGLE:
            trainer.strategy.precision_plugin = Precision()
        if trainer.is_global_zero:
            print(  # noqa: T201
                f"precision: {self._chosen}, as {_HALF} is {gain:.2f}x as fast as {_SINGLE} here "
                f"(needed: {self.least_gain}x)",
                flush=True,
            )

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"chosen": self._chosen}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._chosen = state_dict["chosen"]


def _may_change(trainer: Trainer) -> bool:
    return trainer.precision == _HALF and trainer.strategy.root_device.type == "cpu"


def _cpu_seconds(module: BaseModule, batch: Any, plugin: Precision) -> float:
    """Least CPU time of forward and backward over a few trials, after one that is not timed."""
    found = []
    for _ in range(1 + _TRIALS):
        start = time.process_time()
        with plugin.train_step_context():
            loss = module.step(batch).loss
        if loss.requires_grad:
            loss.backward()
        found.append(time.process_time() - start)
    return max(min(found[1:]), 1e-9)


@contextmanager
def _unchanged(module: BaseModule) -> Iterator[None]:
    """Puts back attributes (such as a carried state), buffers, gradients and the random numbers of torch."""
    attributes = dict(vars(module))
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    gradients = [(parameter, parameter.grad) for parameter in module.parameters()]
    for parameter, _ in gradients:
        parameter.grad = None
    with torch.random.fork_rng(devices=[]):
        yield
    vars(module).clear()
    vars(module).update(attributes)
    for buffer, before in buffers:
        buffer.copy_(before)
    for parameter, gradient in gradients:
        parameter.grad = gradient
