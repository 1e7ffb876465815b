"""Order of command-line words: verb first, then config files, then options, so that options override configs."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from lightning_app.errors import UsageError

_CONFIG = ("-c", "--config")


def verb_first(words: list[str], verbs: Collection[str]) -> list[str]:
    """Moves the verb to the front of `--config FILE VERB ...`, an order that LightningCLI accepts.

    Args:
        words: Command line.
        verbs: Names of all verbs.
    """
    position = 0
    while position < len(words) and words[position].partition("=")[0] in _CONFIG:
        position += 1 if "=" in words[position] else 2
    if not 0 < position < len(words) or words[position] not in verbs:
        return words
    return [words[position], *words[:position], *words[position + 1 :]]


def configs_first(args: list[str], *, verbs: Collection[str], folder: Path) -> list[str]:
    """Puts config files before options, so that an option overrides every file wherever it stands.

    A file with one section per verb (`fit: {trainer: ...}`) is replaced by its section for this verb.

    Args:
        args: Command line, verb first.
        verbs: Allowed section names.
        folder: Scratch folder for the rewritten config files.

    Raises:
        UsageError: A file has sections, but none for this verb.
    """
    verb = args[0]
    configs: list[str] = []
    options: list[str] = []
    words = iter(args[1:])
    for word in words:
        option, equals, value = word.partition("=")
        if option in _CONFIG:
            path = value if equals else next(words, None)
            configs += [word] if path is None else ["--config", _section(path, verb, verbs, folder / str(len(configs)))]
        else:
            options.append(word)
    return [verb, *_presets_behind_class(configs, folder), *options]


def _presets_behind_class(configs: list[str], folder: Path) -> list[str]:
    """Moves the `data.init_args` of a preset behind the file that names the class of the data module.

    jsonargparse assigns `data: {init_args: {...}}` to the base class, and drops it when a later file names the class.
    Keys that the later file sets itself keep its values.
    """
    contents = [_read(Path(word)) if word not in _CONFIG else None for word in configs]
    files = [content if isinstance(content, dict) else {} for content in contents]
    sections = [file.get("data") for file in files]
    named = next((index for index, section in enumerate(sections) if _names_class(section)), 0)
    ordered, parts = list(configs), []
    for index, section in enumerate(sections[:named]):
        if isinstance(section, dict) and isinstance(section.get("init_args"), dict):
            rest = _without(section["init_args"], (sections[named] or {}).get("init_args") or {})
            others = {key: value for key, value in files[index].items() if key != "data"}
            ordered[index] = _write(folder / f"{index}-preset", configs[index], others)
            parts += ["--config", _write(folder / f"{index}-data", configs[index], {"data": {"init_args": rest}})]
    return [*ordered[: named + 1], *parts, *ordered[named + 1 :]]


def _names_class(section: Any) -> bool:
    return isinstance(section, dict) and "class_path" in section


def _without(values: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    """`values` without the keys that `others` sets, nested."""
    kept: dict[str, Any] = {}
    for name, value in values.items():
        if name not in others:
            kept[name] = value
        elif isinstance(value, dict) and isinstance(others[name], dict):
            kept[name] = _without(value, others[name])
    return kept


def _write(folder: Path, path: str, config: dict[str, Any]) -> str:
    folder.mkdir()
    (folder / Path(path).name).write_text(yaml.safe_dump(config))
    return str(folder / Path(path).name)


def with_given_paths(message: str, args: list[str], *, folder: Path) -> str:
    """Replaces paths of rewritten config files in an error message by the user's own paths.

    Line numbers are removed, because they differ between the two files.

    Args:
        message: Error message.
        args: Command line as the user typed it.
        folder: Scratch folder, see `configs_first`.
    """

    def users_path(match: re.Match[str]) -> str:
        return next((word for word in args if Path(word).name == match.group(1)), match.group(1))

    return re.sub(rf"{re.escape(str(folder))}/[^/]+/([^:]+):\d+", users_path, message)


def _section(path: str, verb: str, verbs: Collection[str], folder: Path) -> str:
    config = _read(Path(path))
    if not isinstance(config, dict) or not config or not set(config) <= {*verbs, "config", "subcommand"}:
        return path
    if verb not in config:
        raise UsageError(f"config: {path} has sections for {', '.join(config)}, none for {verb}")
    return _write(folder, path, config[verb])


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return None  # the parser reports what is wrong with the file
