"""Resolved config of a run: everything that the parser read, as plain data that runs again."""

from pathlib import Path
from typing import Any

import jsonargparse
import yaml

from datamodules import BaseDataModule
from lightning_app.cli.links import keep_given_targets
from lightning_app.cli.parser import AppParser
from lightning_app.config.config_paths import with_absolute_paths
from lightning_app.runs.run_folder import sets_model

_ONE_COMMAND = (
    "ckpt_path", "config", "return_predictions", "trust", "output", "allow_changed_data", "weights_only", "verbose",
)  # fmt: skip
"""Keys that belong to one command, and not to the run."""


def plain_config(parser: AppParser, config: jsonargparse.Namespace, *, skip_link_targets: bool) -> dict[str, Any]:
    """A parsed config as plain data; not validated again, which takes longer than the rest: parsing did it."""
    dumped: dict[str, Any] = yaml.safe_load(
        parser.dump(config, skip_validation=True, skip_link_targets=skip_link_targets, skip_none=False, format="yaml")
    )
    return dumped


def resolved_config(parser: AppParser, config: jsonargparse.Namespace) -> dict[str, Any]:
    """The whole config as plain data, without what belongs to one invocation only."""
    resolved: dict[str, Any] = plain_config(parser, config, skip_link_targets=True)[config.subcommand]
    given = config[config.subcommand].model.get("init_args")
    if given is not None:
        links = parser.parser_of(config.subcommand).links
        keep_given_targets(given, resolved["model"].setdefault("init_args", {}), links)
    for key in _ONE_COMMAND:
        resolved.pop(key, None)
    return with_absolute_paths(resolved)


def write_settled(resolved: dict[str, Any], data: BaseDataModule) -> None:
    """Writes what was left to the data as what was found in them.

    Args:
        resolved: The resolved config, changed in place.
        data: Its data module.
    """
    if data.settled_arguments:
        _merge(resolved["data"].setdefault("init_args", {}), data.settled_arguments)


def _merge(config: dict[str, Any], settled: dict[str, Any]) -> None:
    for name, value in settled.items():
        if isinstance(value, dict):
            _merge(config[name], value)
        else:
            config[name] = value


def experiment_name(config: jsonargparse.Namespace) -> str:
    """The stem of the last config file that sets the model, else the model's class name."""
    for path in reversed(config.get("config") or []):
        if sets_model(str(path)):
            return Path(str(path)).stem
    return str(config.model.class_path).rsplit(".", 1)[-1].lower()
