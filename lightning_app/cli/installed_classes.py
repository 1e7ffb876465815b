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
        UsageError: A class that is named cannot be imported, or has another name than its entry point.
    """
    points = entry_points(group=GROUP)
    if not points:
        return
    named = {name for word, before in zip(args, ["", *args], strict=False) for name in _names(word, before)}
    for point in points:
        if point.name in named:
            package = point.dist.name if point.dist is not None else "an unknown package"
            try:
                loaded = point.load()
            except Exception as error:
                broken = f"{point.name}: {point.value} of the package {package} cannot be loaded"
                raise UsageError(f"{broken}: {type(error).__name__}: {error}") from error
            if (name := getattr(loaded, "__name__", None)) != point.name:  # the parser knows classes by their own name
                declared = f"an entry point of the package {package} for {point.value}"
                raise UsageError(f"{point.name}: {declared}, whose name is {name}; the two names must be the same")


def _names(word: str, before: str) -> Iterator[str]:
    option, equals, value = word.partition("=")
    value = value if equals else word
    try:
        if before in _CONFIG or (equals and option in _CONFIG):
            yield from _texts(yaml.safe_load(Path(value).read_text()), Path(value).parent)
        else:
            yield from _texts(yaml.safe_load(value), Path())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return  # the parser says what is wrong with it


def _texts(value: Any, folder: Path, seen: tuple[Path, ...] = ()) -> Iterator[str]:
    """Texts of a config, and of the config files that it names."""
    if isinstance(value, str):
        yield value
        files = (folder / value, Path(value)) if value.endswith((".yaml", ".yml")) else ()
        file = next((file.resolve() for file in files if file.is_file()), None)
        if file is not None and file not in seen:
            yield from _texts(yaml.safe_load(file.read_text()), file.parent, (*seen, file))
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner, folder, seen)
