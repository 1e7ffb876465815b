"""Finished fit: repeating the command of a fit that reached its end trains nothing."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason
from typing_extensions import override

from callbacks import CpuBudget

_STOPPED = "stopped_early"
_ENDS = ("callbacks", "max_epochs", "min_epochs", "max_steps", "min_steps", "max_time")


class FinishedFit(Callback):
    """Knows whether early stopping ended the fit that is resumed, and leaves it at its end then.

    Lightning saves that a fit was stopped nowhere, so that resuming it would train on, one patience after the other.
    Other callbacks or limits than before are taken as the wish to train on.

    Args:
        before: The resolved config of the checkpoint's run, or None.
        now: The resolved config of this run.
    """

    def __init__(self, before: dict[str, Any] | None, now: dict[str, Any]) -> None:
        ends = [{key: config["trainer"].get(key) for key in _ENDS} for config in (before, now) if config is not None]
        self.same_ends = len(ends) == 2 and ends[0] == ends[1]
        self.stopped_early = False

    @override
    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[_STOPPED] = _stopped_early(trainer)

    @override
    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.state.fn == "fit" and self.same_ends and checkpoint.get(_STOPPED):
            self.stopped_early = trainer.should_stop = True

    def say(self, trainer: Trainer, checkpoint: Path) -> None:
        """Prints why nothing was trained."""
        spent = next((part for part in trainer.callbacks if isinstance(part, CpuBudget) and part.stopped), None)  # type: ignore[attr-defined]
        if spent is not None:
            why = f"the {spent.seconds:g} CPU seconds of its run.budget are used; raise it to train on"
        elif self.stopped_early:
            why = "early stopping ended it; to train on, change trainer.callbacks or trainer.max_epochs"
        elif 0 < trainer.max_steps <= trainer.global_step:
            why = f"it has all {trainer.max_steps} steps of trainer.max_steps; raise it to train on"
        else:
            why = f"it has all {trainer.max_epochs} epochs of trainer.max_epochs; raise it to train on"
        print(f"nothing left to train from {checkpoint}: {why}", flush=True)  # noqa: T201


def _stopped_early(trainer: Trainer) -> bool:
    stopping = (callback for callback in trainer.callbacks if isinstance(callback, EarlyStopping))  # type: ignore[attr-defined]
    decided = any(callback.stopping_reason != EarlyStoppingReason.NOT_STOPPED for callback in stopping)
    return bool(decided and trainer.should_stop and trainer.fit_loop._can_stop_early)
