"""Options of `monitor report` and `monitor serve`: what is monitored, from where."""

import argparse
from collections.abc import Sequence

from msgspec.structs import replace

from features.definitions.duration import seconds
from lightning_app.errors import UsageError, nearest
from lightning_app.monitoring.config.monitor_config import (
    MonitorConfig,
    MonitoredModel,
    check_model,
    read_monitor_config,
)

_LENGTHS = ("window", "every", "history")


def add_source(parser: argparse.ArgumentParser) -> None:
    """Adds what is monitored.

    Args:
        parser: The parser.
    """
    source = parser.add_argument_group("what is monitored")
    source.add_argument("-c", "--config", metavar="FILE", help="monitor.yaml; options override what it says")
    source.add_argument("--journal", metavar="URL", help="sqlite:///FILE or postgresql://...; default: journal.db")
    source.add_argument("--registry", metavar="URL", help="where names are registered; default: $MLFLOW_TRACKING_URI")
    source.add_argument(
        "--model", action="append", metavar="NAME", help="of the journal; default: all; may be repeated"
    )
    source.add_argument(
        "--package", action="append", metavar="FOLDER", help="package that was served without a registry; repeatable"
    )
    source.add_argument("--window", metavar="DURATION", help="what is judged, up to now; default: 7d")
    source.add_argument("--every", metavar="DURATION", help="windows of the history; default: 1d")
    source.add_argument("--history", metavar="DURATION", help="how far it goes back; default: 28d, or the window")


def config_of(arguments: argparse.Namespace) -> MonitorConfig:
    """Configuration of a command line.

    Args:
        arguments: Parsed options of `add_source`.

    Raises:
        UsageError: The file or an option is wrong.
    """
    config = MonitorConfig() if arguments.config is None else read_monitor_config(arguments.config)
    config = replace(
        config,
        journal=arguments.journal or config.journal,
        registry=arguments.registry or config.registry,
        packages=(*config.packages, *(arguments.package or ())),
    )
    return replace(config, models=_models(config, arguments.model))


def with_lengths(models: Sequence[MonitoredModel], arguments: argparse.Namespace) -> tuple[MonitoredModel, ...]:
    """Models with the lengths that the options give; a history that is not given is at least as long as the window.

    Args:
        models: The models.
        arguments: Parsed options of `add_source`.

    Raises:
        UsageError: The lengths do not fit together.
    """
    given = {name: value for name in _LENGTHS if (value := getattr(arguments, name)) is not None}
    for name, value in given.items():
        try:
            seconds(value)
        except ValueError as error:
            raise UsageError(f"--{name}: {error}") from error
    changed = []
    for one in models:
        model = replace(one, **given)
        if "window" in given and "history" not in given and seconds(model.window) > seconds(model.history):
            model = replace(model, history=model.window)
        check_model(model)
        changed.append(model)
    return tuple(changed)


def _models(config: MonitorConfig, names: Sequence[str] | None) -> tuple[MonitoredModel, ...]:
    if not names:
        return config.models
    known = {model.model: model for model in config.models}
    if not known:
        return tuple(MonitoredModel(model=name) for name in dict.fromkeys(names))
    for name in names:
        if name not in known:
            raise UsageError(
                f"--model: {name!r} given, the file has {', '.join(known)}{nearest(name, known)}; add it there"
            )
    return tuple(known[name] for name in dict.fromkeys(names))
