"""Classes of installed packages that configs name without a path: entry points of the group `lightning_app.classes`."""

from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import yaml

from lightning_app.errors import UsageError

GROUP = "lightning_app.classes"
"""Name of a network, LightningModule, data module, callback and so on, and the class as `module:Class`."""
_CONFIG = ("-c", "--config")


def import_named_classes(args: Sequence[str]) -> None:
    """Imports the classes that a command line or its config files name, and an installed package brings.

    The parser finds a class by its name alone once it is imported.

    Raises:
        UsageError: A class that is named cannot be imported.
    """
    points = entry_points(group=GROUP)
    if not points:
        return
    named = {name for word, before in zip(args, ["", *args], strict=False) for name in _names(word, before)}
    for point in points:
        if point.name in named:
            try:
                point.load()
            except Exception as error:
                package = point.dist.name if point.dist is not None else "an unknown package"
                broken = f"{point.name}: {point.value} of the package {package} cannot be loaded"
                raise UsageError(f"{broken}: {type(error).__name__}: {error}") from error


def _names(word: str, before: str) -> Iterator[str]:
    option, equals, value = word.partition("=")
    value = value if equals else word
    try:
        is_config = before in _CONFIG or (equals and option in _CONFIG)
        yield from _texts(yaml.safe_load(Path(value).read_text() if is_config else value))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return  # the parser says what is wrong with it


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
