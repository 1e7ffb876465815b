"""Trust: import paths named by the user, on the command line or in configs given with `-c`."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from lightning_app.errors import UsageError
from models.trusted_classes import dotted_names, modules_to_trust

_OPTION = "--trust"
_CONFIG = ("-c", "--config")
_SUFFIXES = (".yaml", ".yml", ".json")
_FILES = (*_SUFFIXES, ".ckpt", ".csv", ".parquet", ".txt", ".npz", ".onnx")
_PLACES = ("--ckpt_path", "--output")
"""Options that name a file or folder, which may be called like a module: `--ckpt_path subprocess.run`."""


def trust_words(config: Any) -> str:
    """What `test --ckpt_path FILE` needs besides, ` --trust my_networks`; nothing without classes of the user's own."""
    modules = modules_to_trust(config)
    return f" {_OPTION} {','.join(modules)}" if modules else ""


def split_trust(args: list[str], *, data: Collection[Path] = ()) -> tuple[set[str], list[str]]:
    """What a command line names as code that may be imported, and the command line without `--trust`.

    Args:
        args: The command line.
        data: Config files among its words that the user did not choose for their classes, such as a package's.

    Returns:
        named: Modules given with `--trust`, and every import path in words and config files.
        rest: The words that are left.

    Raises:
        UsageError: `--trust` stands without a module.
    """
    named: set[str] = set()
    rest: list[str] = []
    words = iter(args)
    for word in words:
        option, equals, value = word.partition("=")
        if option == _OPTION:
            value = value if equals else next(words, "")
            modules = [module for module in value.split(",") if module]
            if not modules or not all(_is_module(module) for module in modules):
                raise UsageError(f"trust: {value!r} given, a module such as my_module or my_package.networks is needed")
            named.update(modules)
            continue
        rest.append(word)
        if option in _PLACES:
            rest += [] if equals else [place for place in (next(words, None),) if place is not None]
        elif option in _CONFIG:
            if not equals:
                value = next(words, "")
                rest.append(value)
            if Path(value) not in data:
                named |= _named_in_file(Path(value))
        elif not word.startswith("-") or equals:
            named |= _named_in(_read(value if equals else word), Path())
    return named, rest


def _is_module(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _read(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text  # the parser reports what is wrong with it


def _named_in_file(path: Path) -> set[str]:
    try:
        config = _read(path.read_text())
    except (OSError, UnicodeDecodeError):
        return set()
    given = config.get("trust") if isinstance(config, dict) else None
    modules = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    return {module for module in modules if isinstance(module, str)} | _named_in(config, path.parent)


def _named_in(config: Any, folder: Path) -> set[str]:
    """Import paths in plain data, and in the config files that its values name; what is a file or folder is none."""
    texts = dotted_names(config)
    named = {text for text in texts if not text.endswith(_FILES) and not Path(text).exists()}
    files = {folder / text for text in texts if text.endswith(_SUFFIXES)}
    if isinstance(config, str) and config.endswith(_SUFFIXES):
        files.add(folder / config)
    for file in files:
        if file.is_file():
            named |= dotted_names(_read(file.read_text()))
    return named
