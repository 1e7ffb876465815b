"""Merged callbacks: those of presets, the experiment, a resumed run and the command line in one list."""

import json
import sys
from collections.abc import Callable
from typing import Any

import jsonargparse

_STATE_KEYS = {
    "EarlyStopping": ("monitor", "mode"),
    "ModelCheckpoint": ("monitor", "mode", "every_n_train_steps", "every_n_epochs", "train_time_interval"),
}
"""Arguments by which Lightning tells apart two callbacks of one class when it saves their state."""
_OURS = ("callbacks.", "lightning_app.")


def merge_callbacks(given: Any, *, warn: Callable[[str], None] | None = None) -> Any:
    """One list of callbacks; of two that are the same one the later counts.

    Equal ones are one. `EarlyStopping` and `ModelCheckpoint` are the same where they watch the same metric in the same
    way, as Lightning could not save the state of both; those that watch something else are all kept. Callbacks of this
    project come once per class. All others are kept.

    Args:
        given: Callbacks as the parser gives them: a list, a single one, or None.
        warn: Called with a line for each that an unlike one replaces; None prints it on stderr.
    """
    if given is None:
        return None
    everything = given if isinstance(given, list) else [given]
    kept: dict[str, Any] = {}
    for callback in everything:
        identity = _identity(callback)
        before = kept.pop(identity, None)
        if before is not None and before != callback:
            line = f"trainer.callbacks: {_shown(before)} is replaced by {_shown(callback)}, which came later"
            (warn or _print_warning)(line)
        kept[identity] = callback
    return list(kept.values())


def _identity(callback: Any) -> str:
    if not isinstance(callback, jsonargparse.Namespace):
        return str(id(callback))
    path, arguments = callback.class_path, _arguments(callback)
    if path.startswith(_OURS):
        return path
    keys = _STATE_KEYS.get(path.rsplit(".", 1)[-1])
    if keys is not None:
        arguments = {key: arguments.get(key) for key in keys}
    return f"{path} {json.dumps(arguments, sort_keys=True, default=str)}"


def _arguments(callback: jsonargparse.Namespace) -> dict[str, Any]:
    arguments = callback.get("init_args")
    return arguments.as_dict() if isinstance(arguments, jsonargparse.Namespace) else dict(arguments or {})


def _shown(callback: Any) -> str:
    arguments = ", ".join(f"{key}={value}" for key, value in _arguments(callback).items() if value is not None)
    return f"{callback.class_path.rsplit('.', 1)[-1]}({arguments})"


def _print_warning(line: str) -> None:
    print(f"warning: {line}", file=sys.stderr)  # noqa: T201
