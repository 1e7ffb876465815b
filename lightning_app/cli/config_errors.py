"""Config errors: the file and line that a message of the parser is about."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from lightning_app.errors import OF_THE_MODEL, UsageError, nearest

_CONFIG = ("-c", "--config")
_KEY = re.compile(r"[A-Za-z_][\w.+]*(?=: )")
_LEVELS = ("init_args", "dict_kwargs")
"""Levels of a file that options of the command line leave out."""


def check_configs(args: Sequence[str], options: Iterable[str]) -> None:
    """Refuses config files that are no YAML, no mapping, or have a key that there is none of.

    The parser says neither which file it was, nor anything at all of an unknown key with nothing below it.

    Args:
        args: A command line.
        options: What the parser knows, `--trainer.max_epochs` and so on.

    Raises:
        UsageError: The message starts with file and line.
    """
    known = sorted({option.lstrip("-").split(".")[0].rstrip("+") for option in options if option.startswith("--")})
    for path in configs_of(args):
        root = _compose(path)
        if root is None:
            raise UsageError(f"{path}: is empty; a mapping with keys such as model, data and trainer is needed")
        if not isinstance(root, yaml.MappingNode):
            raise UsageError(f"{_place(path, root)}: a mapping with keys such as model, data and trainer is needed")
        _refuse_repeated_keys(path, root, set())
        for key, _ in root.value:
            name = str(key.value)
            if name.rstrip("+") not in known:
                near = nearest(name, known)
                where = _place(path, key)
                advice = f"; {OF_THE_MODEL[name]}" if name in OF_THE_MODEL else near
                raise UsageError(f"{where}: {name}: no such key{advice or '; allowed: ' + ', '.join(known)}")


def _refuse_repeated_keys(path: Path, node: yaml.Node, visited: set[int]) -> None:
    """YAML readers keep the last of several equal keys, without a word of the others."""
    if id(node) in visited or isinstance(node, yaml.ScalarNode):
        return
    visited.add(id(node))  # an anchor may stand in many places
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeated_keys(path, item, visited)
        return
    seen: dict[str, yaml.Node] = {}
    for key, value in node.value:
        name = str(key.value)
        if name in seen and name != "<<":
            raise UsageError(f"{_place(path, key)}: {name}: stands twice, first in line {_line(seen[name])}")
        seen[name] = key
        _refuse_repeated_keys(path, value, visited)


def check_yaml(args: Sequence[str]) -> None:
    """Refuses config files that are no YAML.

    Args:
        args: A command line.

    Raises:
        UsageError: One is none; the message starts with file and line.
    """
    for path in configs_of(args):
        _compose(path)


def with_place(message: str, args: Sequence[str]) -> str:
    """Puts file and line before a message about a key, if it was a config file that gave it.

    Args:
        message: `key: what is wrong`.
        args: The command line; what its options give is no file's.
    """
    match = _KEY.match(message)
    if match is None:
        return message
    key = match.group().rstrip("+")
    given = {word.partition("=")[0].lstrip("-").rstrip("+") for word in args if word.startswith("--")}
    if any(key == name or key.startswith(f"{name}.") for name in map(_as_option, given)):
        return message
    for path in reversed(configs_of(args)):
        node = _find(_compose(path), key.split("."))
        if node is not None:
            return f"{_place(path, node)}: {message}"
    return message


def configs_of(args: Sequence[str]) -> list[Path]:
    """The config files of a command line that exist, in their order."""
    found = []
    for word, following in zip(args, [*args[1:], ""], strict=True):
        option, equals, value = word.partition("=")
        if option in _CONFIG and not (value if equals else following):
            raise UsageError(f"config: {option} stands without a file")
        if option in _CONFIG and Path(path := value if equals else following).is_file():
            found.append(Path(path))
    return found


def _as_option(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in (*_LEVELS, "class_path"))


def _compose(path: Path) -> yaml.Node | None:
    try:
        text = path.read_text()
        yaml.safe_load(text)  # a tag that names code is found where values are made
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f":{mark.line + 1}"
        raise UsageError(f"{path}{line}: no YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: no YAML: {error}") from error


def _find(node: yaml.Node | None, parts: Sequence[str]) -> yaml.Node | None:
    """The node of the key at a path; levels that options leave out are gone through."""
    if isinstance(node, yaml.SequenceNode):
        found = (_find(item, parts) for item in node.value)
        return next((inner for inner in found if inner is not None), None)
    if not isinstance(node, yaml.MappingNode) or not parts:
        return None
    for key, value in node.value:
        name = str(key.value).rstrip("+")
        if name == parts[0]:
            return key if len(parts) == 1 else _find(value, parts[1:])
        if name in _LEVELS and (inner := _find(value, parts)) is not None:
            return inner
    return None


def _place(path: Path, node: yaml.Node) -> str:
    return f"{path}:{_line(node)}"


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
