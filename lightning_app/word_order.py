"""Words of a command line in the order in which they count: the verb, config files, options."""

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
    return [verb, *configs, *options]


def _section(path: str, verb: str, verbs: Collection[str], folder: Path) -> str:
    config = _read(Path(path))
    if not isinstance(config, dict) or not config or not set(config) <= {*verbs, "config", "subcommand"}:
        return path
    if verb not in config:
        raise UsageError(f"config: {path} has sections for {', '.join(config)}, none for {verb}")
    folder.mkdir()
    section = folder / Path(path).name
    section.write_text(yaml.safe_dump(config[verb]))
    return str(section)


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return None  # the parser says what is wrong with it
