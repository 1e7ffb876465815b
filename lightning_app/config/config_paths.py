"""Paths in a config: arguments typed as paths, made absolute, and checksums of the data files among them."""

import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from datamodules.sources import data_root, sha256_of
from features.delta_table import is_delta
from features.versions.references import is_reference, pinned, reference_facts


def with_absolute_paths(config: dict[str, Any]) -> dict[str, Any]:
    """A config that means the same files from any working folder.

    Paths are arguments that a class types as `Path`, also in a union (`str | Path`), a list, or the values
    of a mapping. Only what exists here is
    changed: what does not is looked for below the data root later. Snapshots get their id, Delta tables their version.
    `run.root` stays as it was given, so that a run folder that was copied elsewhere does not point back.

    Args:
        config: The resolved config, plain data.
    """

    def absolute(value: str) -> str:
        if is_reference(value) or is_delta(value):
            return pinned(value)
        return str(Path(value).resolve()) if Path(value).exists() else value

    return {key: value if key == "run" else _map_paths(value, absolute) for key, value in config.items()}


def data_files(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The files that the data section of a config names: absolute path to `sha256` and `bytes`.

    A snapshot has its id and store beside them, a Delta table its version.

    Args:
        config: The resolved config.
    """
    named: list[str] = []
    data = config.get("data") or {}
    _map_paths(data, lambda value: named.append(value) or value)  # type: ignore[func-returns-value]
    root = (data.get("init_args") or {}).get("root")
    found = {}
    for value in dict.fromkeys(named):
        reference = next(filter(None, map(reference_facts, _places(value, root))), None)
        if reference is not None:
            found[reference[0]] = reference[1]
            continue
        path = next((place for place in _places(value, root) if place.is_file()), None)
        if path is not None:
            found[str(path.resolve())] = {"sha256": sha256_of(path), "bytes": path.stat().st_size}
    return found


def _places(value: str, root: str | None) -> list[Path]:
    """Where a file may lie; a snapshot lies in its store."""
    return [Path(value)] if is_reference(value) else [Path(value).expanduser(), data_root(root) / value]


def _map_paths(value: Any, change: Any, *, is_path: bool = False) -> Any:
    """Plain data with its paths changed."""
    if isinstance(value, dict):
        names = _declared_paths(value.get("class_path"))
        if "class_path" in value and isinstance(value.get("init_args"), dict):
            inner = {name: _map_paths(of, change, is_path=name in names) for name, of in value["init_args"].items()}
            return {**value, "init_args": inner}
        return {name: _map_paths(of, change, is_path=is_path or name in names) for name, of in value.items()}
    if isinstance(value, list):
        return [_map_paths(inner, change, is_path=is_path) for inner in value]
    return change(value) if is_path and isinstance(value, str) and value else value


def _declared_paths(class_path: Any) -> tuple[str, ...]:
    """Arguments of a class that are typed as `Path`, alone, in a union or in a list."""
    kind = imported_class(class_path)
    if kind is None:
        return ()
    try:
        parameters = inspect.signature(kind, eval_str=True).parameters.values()
    except (NameError, TypeError, ValueError):
        return ()
    return tuple(parameter.name for parameter in parameters if _holds_path(parameter.annotation))


def _holds_path(hint: Any) -> bool:
    return hint is Path or any(_holds_path(inner) for inner in get_args(hint))


def imported_class(class_path: Any) -> type[Any] | None:
    """The class at an import path, if its module has been imported; nothing is imported for it."""
    module, _, name = str(class_path).rpartition(".")
    kind = getattr(sys.modules.get(module), name, None)
    return kind if inspect.isclass(kind) else None
