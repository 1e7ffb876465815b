"""Loggers, callbacks and plugins of a trainer: the user's come first, and replace ours where only one can be."""

from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import jsonargparse
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import Callback, ProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins import AsyncCheckpointIO

from callbacks import (
    BestCheckpoint,
    DurableCheckpointIO,
    ExactResume,
    FiniteCheck,
    LastCheckpoint,
    PredictionTable,
    Progress,
)
from lightning_app.errors import UsageError
from lightning_app.runs.model_facts import monitor_mode_of, monitor_of, untrained_margin_of


def as_list(value: Any) -> list[Any]:
    """One part, several or none, as the trainer takes them."""
    return (
        [] if value is None or isinstance(value, bool) else list(value) if isinstance(value, list | tuple) else [value]
    )


def all_loggers(given: Any, ours: list[Logger | None]) -> list[Logger]:
    """The user's loggers first: the first one is `self.logger`, and its folder `trainer.log_dir`.

    Args:
        given: The trainer's `logger`.
        ours: Those of every run; None is left out.
    """
    return [*as_list(given), *(logger for logger in ours if logger is not None)]


def all_callbacks(given: list[Callback], ours: list[Callback]) -> list[Callback]:
    """Those of every run but for what the config gives itself; the last checkpoint is saved last.

    It must know of a best one that is saved at the same validation.

    Args:
        given: The config's.
        ours: Those of every run.
    """
    everything = [*given, *(callback for callback in ours if not _is_among(callback, given))]
    return sorted(everything, key=lambda callback: isinstance(callback, LastCheckpoint))


def _is_among(callback: Callback, given: list[Callback]) -> bool:
    if isinstance(callback, ProgressBar):
        return any(isinstance(other, ProgressBar) for other in given)
    return any(type(callback) is type(other) for other in given)


def all_plugins(given: Any, strategy: Any) -> list[Any]:
    """Plugins with ours that writes checkpoints whole, unless the user has one for checkpoints.

    Args:
        given: The trainer's `plugins`.
        strategy: The trainer's `strategy`.
    """
    plugins = as_list(given)
    for plugin in plugins:
        if isinstance(plugin, AsyncCheckpointIO) and plugin._checkpoint_io is None:
            plugin._checkpoint_io = DurableCheckpointIO()
    sharded = "fsdp" in str(strategy if isinstance(strategy, str) else type(strategy).__name__).lower()
    if sharded or any(isinstance(plugin, CheckpointIO) for plugin in plugins):
        return plugins  # FSDP writes checkpoints its own way
    return [*plugins, DurableCheckpointIO()]


def run_callbacks(model: LightningModule, trainer: jsonargparse.Namespace, *, record: list[Callback]) -> list[Callback]:
    """The callbacks that a run has besides those of its config, in the order in which Lightning calls them.

    Args:
        model: Its class may name further callbacks in `run_callbacks`, see `BaseModule`.
        trainer: The trainer's config.
        record: Callbacks that keep the record of this command.
    """
    of_model = _callbacks_of(type(model))
    progress = [Progress()] if trainer.enable_progress_bar is not False else []
    every_run: list[Any] = [ExactResume(), FiniteCheck(), *progress, PredictionTable(), *of_model, *record]
    if trainer.enable_checkpointing is not False:
        monitor = monitor_of(model)
        every_run += [BestCheckpoint(monitor=monitor, mode=monitor_mode_of(model))] if monitor else []
        every_run += [LastCheckpoint()]
    return every_run


def _callbacks_of(model_class: type[LightningModule]) -> list[Callback]:
    """The callbacks that `run_callbacks` of a class names.

    Raises:
        UsageError: It is no tuple of import paths, or one leads to no callback that is made without arguments.
    """
    paths = getattr(model_class, "run_callbacks", ())
    declared = f"model: {model_class.__name__}.run_callbacks"
    if isinstance(paths, str) or not all(isinstance(path, str) for path in paths):
        raise UsageError(f'{declared}: {paths!r} given, a tuple such as ("my_module:MyCallback",) is needed')
    callbacks = []
    for path in paths:
        try:
            callback = resolve_name(path)()
        except Exception as error:  # the user's code, which may fail in any way
            reason = f"{type(error).__name__}: {error}"
            raise UsageError(f"{declared} says {path!r}, of which no callback can be made: {reason}") from error
        if not isinstance(callback, Callback):
            raise UsageError(f"{declared} says {path!r}, which is no Callback of Lightning")
        callbacks.append(callback)
    return callbacks


def set_best_checkpoint(callbacks: list[Callback], model: LightningModule, *, resumed: Path | None) -> None:
    """Completes the best checkpoint's arguments from the model and the run that is resumed; the config's own too.

    Args:
        callbacks: All callbacks of the run, changed in place.
        model: Says by how much training must improve on the untrained model.
        resumed: The checkpoint that a fit goes on from.
    """
    for callback in callbacks:
        if isinstance(callback, BestCheckpoint):
            callback.inherit_from = callback.inherit_from or (str(resumed.parent) if resumed else None)
            if callback.untrained_margin is None:
                callback.untrained_margin = untrained_margin_of(model)
