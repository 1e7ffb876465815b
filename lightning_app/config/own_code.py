"""User code of a run: modules of the config's classes that are neither installed nor part of this project."""

import hashlib
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lightning_app.config.config_paths import imported_class
from lightning_app.module_search import ROOT

_OURS = ("lightning_app", "models", "datamodules", "callbacks", "sweeps", "features")
_STANDARD = Path(sysconfig.get_path("stdlib")).resolve()
_INSTALLED = {"site-packages", "dist-packages"}


def describe_own_code(config: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Module name to `file` and `sha256`, of each class of a config and what was imported of its package.

    Args:
        config: The resolved config; its classes have been imported.
    """
    modules = {kind.__module__ for path in _class_paths(config) if (kind := imported_class(path)) is not None}
    modules = {name for name in modules if _source(name) is not None}
    # A package's other modules too: a network is rarely in one file.
    packages = tuple(f"{name.split('.')[0]}." for name in modules if "." in name)
    modules |= {name for name in list(sys.modules) if name.startswith(packages)} if packages else set()
    found = {}
    for name in sorted(modules):
        file = _source(name)
        if file is not None:
            found[name] = {"file": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    return found


def changed_modules(before: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Files of modules whose source is another one than it was."""
    return [code["file"] for name, code in now.items() if name in before and before[name]["sha256"] != code["sha256"]]


def _source(module: str) -> Path | None:
    """The file of an imported module that is the user's own."""
    name = getattr(sys.modules.get(module), "__file__", None)
    file = Path(name).resolve() if name else None
    if file is None or file.suffix != ".py" or not file.is_file() or _INSTALLED & {*file.parts}:
        return None
    ours = (*(ROOT / package for package in _OURS), _STANDARD)
    return None if any(file.is_relative_to(folder) for folder in ours) else file


def _class_paths(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("class_path"), str):
            yield value["class_path"]
        for inner in value.values():
            yield from _class_paths(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _class_paths(inner)
