"""Overrides at resume: hyper-parameters of the command line win over restored optimizer state."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from typing_extensions import override

from lightning_app.config.config_changes import config_changes
from lightning_app.errors import UsageError

_OPTIMIZER = "model.init_args.optimizer"
_SCHEDULER = "model.init_args.scheduler"
# Rates that schedulers derive from `lr` and keep in the optimizer; they scale with it.
_RATES = ("lr", "initial_lr", "max_lr", "min_lr")


class ResumeOverrides(Callback):
    """Says which values changed since the checkpoint, and sets those that restoring its state would undo.

    Restoring brings back the optimizer's parameter groups and the scheduler's attributes, so that a new learning
    rate or decay would silently be the old one.

    Args:
        before: The resolved config of the checkpoint's run, or None.
        now: The resolved config of this run.
    """

    def __init__(self, before: dict[str, Any] | None, now: dict[str, Any]) -> None:
        self.changes = config_changes(before, now) if before is not None else {}
        self._patience: dict[EarlyStopping, int] = {}

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        stopping = (callback for callback in trainer.callbacks if isinstance(callback, EarlyStopping))  # type: ignore[attr-defined]
        self._patience = {callback: callback.patience for callback in stopping}
        for key in (_OPTIMIZER, _SCHEDULER):
            if f"{key}.class_path" in self.changes:
                before, now = self.changes[f"{key}.class_path"]
                raise UsageError(
                    f"{key}: the checkpoint was trained with {before}, whose state {now} cannot take over; "
                    "resume with the same class"
                )
        if trainer.is_global_zero:
            for key, (before, now) in self.changes.items():
                print(f"{key}: {now} (the checkpoint's run had {before})")  # noqa: T201

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for callback, patience in self._patience.items():
            callback.patience = patience  # its state brings back that of the checkpoint's run
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        for key, (before, now) in self.changes.items():
            owner, _, name = key.rpartition(".init_args.")
            if owner == _OPTIMIZER:
                for group in (group for optimizer in trainer.optimizers for group in optimizer.param_groups):
                    _override(group, name, before, now)
                if name == "lr":
                    for scheduler in schedulers:
                        scheduler.base_lrs = [now] * len(scheduler.base_lrs)
            elif owner == _SCHEDULER:
                for scheduler in schedulers:
                    setattr(scheduler, name, now)


def _override(group: dict[str, Any], name: str, before: Any, now: Any) -> None:
    if name != "lr":
        group[name] = now
        return
    for rate in _RATES:
        if rate in group:
            group[rate] = group[rate] / before * now if before else now
