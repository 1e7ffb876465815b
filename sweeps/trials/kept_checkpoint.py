"""Metric that selects `best.ckpt` of a trial: the metric of the sweep, or the default of the fit."""

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from lightning_app.errors import UsageError

_MODES = {"minimize": "min", "maximize": "max"}
_CLASS = "BestCheckpoint"


def kept_by(config: Mapping[str, Any]) -> tuple[str, str] | None:
    """Metric and mode (`min` or `max`) that select the best checkpoint of a fit; None if it keeps none.

    Args:
        config: The resolved config of the fit.
    """
    trainer = config["trainer"]
    if trainer.get("enable_checkpointing") is False:
        return None
    for callback in trainer.get("callbacks") or []:
        if _is_best(callback):
            given = callback.get("init_args", {})
            return str(given["monitor"]), str(given.get("mode", "min"))
    module, _, name = str(config["model"]["class_path"]).rpartition(".")
    kind = getattr(import_module(module), name)
    monitor = getattr(kind, "monitor", None)  # a plain LightningModule has none
    return (monitor, getattr(kind, "monitor_mode", "min")) if isinstance(monitor, str) else None


def words_to_keep_by(metrics: Mapping[str, str], config: Mapping[str, Any]) -> list[str]:
    """Options that make a fit select its best checkpoint by the metric of the sweep.

    Args:
        metrics: Name and direction of each metric of the sweep.
        config: The resolved config of the fit.

    Raises:
        UsageError: There are several metrics, or the fit keeps no checkpoints.
    """
    if len(metrics) > 1:
        raise UsageError(
            "checkpoint-by-metric: of several metrics the values of the last validation count; take it out"
        )
    if config["trainer"].get("enable_checkpointing") is False:
        raise UsageError("checkpoint-by-metric: trainer.enable_checkpointing is false; leave out one of the two")
    ((name, direction),) = metrics.items()
    best = {"class_path": f"callbacks.{_CLASS}", "init_args": {"monitor": name, "mode": _MODES[direction]}}
    others = [callback for callback in config["trainer"].get("callbacks") or [] if not _is_best(callback)]
    return [f"--trainer.callbacks={json.dumps([*others, best])}"]


def mismatch(metrics: Mapping[str, str], kept: tuple[str, str] | None) -> str:
    """Warning if `best.ckpt` is selected by another metric than the one that ranks trials; else empty.

    Args:
        metrics: Name and direction of each metric of the sweep.
        kept: As `kept_by` gives it.
    """
    if kept is None or [kept] == [(name, _MODES[direction]) for name, direction in metrics.items()]:
        return ""
    by = f"their best.ckpt is kept by {kept[0]} ({kept[1]})"
    if len(metrics) > 1:
        return f"trials are ranked by the values of their last validation, which last.ckpt has; {by}"
    ((name, direction),) = metrics.items()
    return (
        f"trials are ranked by {name} ({_MODES[direction]}), but {by} and may have another value; "
        "--checkpoint-by-metric takes one for both"
    )


def _is_best(callback: Any) -> bool:
    return isinstance(callback, Mapping) and str(callback.get("class_path")).rpartition(".")[2] == _CLASS
