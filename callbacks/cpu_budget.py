"""CpuBudget: ends a fit when its CPU time is used up."""

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

_KEY = "cpu_seconds_used"


class CpuBudget(Callback):
    """Stops a fit after a number of CPU seconds, and validates once more, so that the best checkpoint is a real one.

    Counted is the CPU time of this process with all its threads, from the start of the fit on; worker processes of
    loaders and other ranks are not. A resumed fit goes on counting. The schedule of the learning rate does not know of
    the budget: set `trainer.max_epochs` to what fits.

    Args:
        seconds: The budget.
        allowance: Share by which it may be exceeded.
        says: Whether to print why the fit stopped.
    """

    def __init__(self, *, seconds: float, allowance: float = 0.0, says: bool = True) -> None:
        if not seconds > 0:
            raise ValueError(f"run.budget: {seconds} given, a number of CPU seconds above 0 is needed")
        self.seconds = seconds
        self.allowance = allowance
        self.says = says
        self.stopped = False
        """Whether it ended the fit before its end."""
        self._before = 0.0
        self._start: float | None = None

    @property
    def used(self) -> float:
        """CPU seconds used so far, those of the runs that this one continues included."""
        return self._before + (0.0 if self._start is None else time.process_time() - self._start)

    @property
    def left(self) -> float:
        """CPU seconds left, at least 0."""
        return max(0.0, self.seconds - self.used)

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and self._start is None:
            self._start = time.process_time()

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        spent = self.used >= self.seconds * (1 + self.allowance)
        if trainer.world_size > 1:
            spent = trainer.strategy.reduce_boolean_decision(spent, all=False)
        if not spent or self.stopped or _is_last(trainer, batch_idx):
            return
        self.stopped = trainer.should_stop = True
        if self.says and trainer.is_global_zero:
            epochs = f"{trainer.current_epoch + 1} of {trainer.max_epochs}" if trainer.max_epochs else "an"
            print(  # noqa: T201
                f"budget: {self.seconds:g} CPU seconds are used in epoch {epochs}, batch {batch_idx + 1} of "
                f"{trainer.num_training_batches}: the fit stops here",
                flush=True,
            )

    @override
    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[_KEY] = self.used

    @override
    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.state.fn != "fit":
            return
        self._before = float(checkpoint.get(_KEY, 0.0))
        if self._before >= self.seconds and checkpoint["global_step"]:
            self.stopped = trainer.should_stop = True


def _is_last(trainer: Trainer, batch_idx: int) -> bool:
    """Whether the fit ends with this batch anyway."""
    last_epoch = trainer.max_epochs not in (None, -1) and trainer.current_epoch + 1 >= (trainer.max_epochs or 0)
    return last_epoch and batch_idx + 1 >= trainer.num_training_batches
