"""Words of a command line in the order in which they count: the verb, config files, options."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from lightning_app.errors import UsageError

_CONFIG = ("-c", "--config")


def verb_first(words: list[str], verbs: Collection[str]) -> list[str]:
    """Moves the verb to the front of `--config FILE VERB ...`, as LightningCLI takes it.

    Args:
        words: A command line.
        verbs: What can be a verb.
    """
    position = 0
    while position < len(words) and words[position].partition("=")[0] in _CONFIG:
        position += 1 if "=" in words[position] else 2
    if not 0 < position < len(words) or words[position] not in verbs:
        return words
    return [words[position], *words[:position], *words[position + 1 :]]


def configs_first(args: list[str], *, verbs: Collection[str], folder: Path) -> list[str]:
    """Puts config files before options, so that an option wins over a file wherever it stands.

    A file with a section per verb (`fit: {trainer: ...}`) is replaced by the section of this verb.

    Args:
        args: The command line, verb first.
        verbs: What sections can be called.
        folder: Where a section is written to.

    Raises:
        UsageError: A file has sections, and none for this verb.
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
    """Lets `data` of a preset count that stands before the file which names the class of the data.

    jsonargparse takes `data: {init_args: {...}}` for the base class, and drops it when a later file names the class.
    Here that part of the preset comes behind the later file, without what the later file says itself.
    """
    contents = [_read(Path(word)) if word not in _CONFIG else None for word in configs]
    files = [content if isinstance(content, dict) else {} for content in contents]
    sections = [file.get("data") for file in files]
    named = next((place for place, section in enumerate(sections) if _names_class(section)), 0)
    ordered, parts = list(configs), []
    for place, section in enumerate(sections[:named]):
        if isinstance(section, dict) and isinstance(section.get("init_args"), dict):
            rest = _without(section["init_args"], (sections[named] or {}).get("init_args") or {})
            others = {key: value for key, value in files[place].items() if key != "data"}
            ordered[place] = _write(folder / f"{place}-preset", configs[place], others)
            parts += ["--config", _write(folder / f"{place}-data", configs[place], {"data": {"init_args": rest}})]
    return [*ordered[: named + 1], *parts, *ordered[named + 1 :]]


def _names_class(section: Any) -> bool:
    return isinstance(section, dict) and "class_path" in section


def _without(values: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    """Values that the others do not hold."""
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
    """Names the user's config in a message about what was written anew from it; its lines are not the same.

    Args:
        message: An error.
        args: The command line, as it was given.
        folder: As of `configs_first`.
    """

    def given(match: re.Match[str]) -> str:
        return next((word for word in args if Path(word).name == match.group(1)), match.group(1))

    return re.sub(rf"{re.escape(str(folder))}/[^/]+/([^:]+):\d+", given, message)


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
        return None  # the parser says what is wrong with it
