"""Resuming with other hyper-parameters: the command line wins, also over restored optimizer state."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from lightning_app.errors import UsageError

_OPTIMIZER = "model.init_args.optimizer"
# Rates that schedulers derive from `lr` and keep in the optimizer; they scale with it.
_RATES = ("lr", "initial_lr", "max_lr", "min_lr")


class ResumeOverrides(Callback):
    """Says which values changed since the checkpoint, and sets those of the optimizer after its state is restored.

    Restoring brings back the optimizer's parameter groups, learning rate included, so that a new
    `model.init_args.optimizer.init_args.lr` would silently be the old one.

    Args:
        before: The resolved config of the checkpoint's run, or None.
        now: The resolved config of this run.
    """

    def __init__(self, before: dict[str, Any] | None, now: dict[str, Any]) -> None:
        self.changes = _changes(before, now) if before is not None else {}

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        if f"{_OPTIMIZER}.class_path" in self.changes:
            before, now = self.changes[f"{_OPTIMIZER}.class_path"]
            raise UsageError(
                f"{_OPTIMIZER}: the checkpoint was trained with {before}, whose state {now} cannot take over; "
                "resume with the same optimizer"
            )
        if trainer.is_global_zero:
            for key, (before, now) in self.changes.items():
                print(f"{key}: {now} (the checkpoint's run had {before})")  # noqa: T201

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        prefix = f"{_OPTIMIZER}.init_args."
        for key, (before, now) in self.changes.items():
            if key.startswith(prefix):
                for optimizer in trainer.optimizers:
                    for group in optimizer.param_groups:
                        _override(group, key.removeprefix(prefix), before, now)
                if key == f"{prefix}lr":
                    for config in trainer.lr_scheduler_configs:
                        config.scheduler.base_lrs = [now] * len(config.scheduler.base_lrs)


def _override(group: dict[str, Any], name: str, before: Any, now: Any) -> None:
    if name != "lr":
        group[name] = now
        return
    for rate in _RATES:
        if rate in group:
            group[rate] = group[rate] / before * now


def _changes(before: Any, now: Any, key: str = "") -> dict[str, tuple[Any, Any]]:
    """Dotted keys of the model, data and seed whose values differ, with (before, now)."""
    if isinstance(before, dict) and isinstance(now, dict):
        found: dict[str, tuple[Any, Any]] = {}
        for name in {**before, **now}:
            if key or name in ("model", "data", "seed_everything"):
                found |= _changes(before.get(name), now.get(name), f"{key}.{name}".lstrip("."))
        return found
    return {} if before == now else {key: (before, now)}
