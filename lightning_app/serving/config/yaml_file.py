"""YAML file of a configuration, read into its struct."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from lightning_app.errors import UsageError, nearest

Config = TypeVar("Config", bound=msgspec.Struct)


def read_yaml_file(
    path: str | Path,
    kind: type[Config],
    *,
    option: str,
    parts: Sequence[type[msgspec.Struct]],
    models: Callable[[dict[str, Any]], Any] | None = None,
) -> Config:
    """Reads a YAML file.

    Args:
        path: The file.
        kind: Struct of the whole file.
        option: What the file is given as, for messages.
        parts: Structs whose fields are suggested for one that is unknown.
        models: The list of models in a file, where `batching: off` is a word although YAML reads it as false.

    Raises:
        UsageError: The file is missing or invalid; names the key, the value and what is allowed.
    """
    import yaml  # a worker reads JSON

    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{option}: {path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{option}: {path} is no YAML: {' '.join(str(error).split())}") from error
    found = models(content) if models is not None and isinstance(content, dict) else None
    for model in found if isinstance(found, list) else ():
        if isinstance(model, dict) and model.get("batching") is False:
            model["batching"] = "off"
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"{option}: {path}: {_readable(str(error), parts)}") from error


def _readable(message: str, parts: Sequence[type[msgspec.Struct]]) -> str:
    """A message of msgspec, with the nearest field where one is unknown."""
    if "unknown field `" not in message:
        return message
    given = message.partition("unknown field `")[2].partition("`")[0]
    return message + nearest(given, [field for part in parts for field in part.__struct_fields__])
