"""Strict YAML: no duplicate keys, no aliases; only true and false are truth values, dates stay text, 007 stays text."""

import re
from typing import Any

import yaml

_BOOL = re.compile(r"^(?:true|false)$")
_NULL = re.compile(r"^(?:~|null|)$")
_INT = re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$")
_FLOAT = re.compile(
    r"^[-+]?(?:(?:0|[1-9][0-9]*)?\.[0-9]+|(?:0|[1-9][0-9]*)\.?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.inf$|^\.nan$"
)


class _StrictLoader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # yaml's own declaration


class _StrictDumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012


for _kind in (_StrictLoader, _StrictDumper):
    _kind.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOL, list("tf"))
    _kind.add_implicit_resolver("tag:yaml.org,2002:null", _NULL, ["~", "n", ""])
    _kind.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def parse_yaml(text: str, *, name: str) -> tuple[Any, dict[str, int]]:
    """Parses YAML, and keeps the line of each value.

    Args:
        text: The YAML.
        name: Name of the file for messages.

    Returns:
        content: Plain dicts and lists.
        lines: Line of each value, from 1, by its place such as `rules.3.min`.

    Raises:
        ValueError: It is no YAML, a key occurs twice, or it has an alias.
    """
    loader = _StrictLoader(text)
    try:
        _refuse_aliases(text, name)
        node = loader.get_single_node()
        lines: dict[str, int] = {}
        return (None if node is None else _value(loader, node, "", lines, name)), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ValueError(f"{name}, line {_line(mark)}: no YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{name}: no YAML: {' '.join(str(error).split())}") from error
    finally:
        loader.dispose()


def flow(value: Any) -> str:
    """A value as YAML in one line.

    Args:
        value: Plain data.
    """
    text = yaml.dump(
        value, Dumper=_StrictDumper, default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return text.removesuffix("\n").removesuffix("\n...").rstrip("\n")


def _refuse_aliases(text: str, name: str) -> None:
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            line = _line(event.start_mark)
            raise ValueError(f"{name}, line {line}: aliases such as *{event.anchor} are not allowed")


def _value(loader: _StrictLoader, node: yaml.Node, path: str, lines: dict[str, int], name: str) -> Any:
    lines[path] = _line(node.start_mark)
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, one, _join(path, str(index)), lines, name) for index, one in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        content: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            line = _line(key_node.start_mark)
            if not isinstance(key, str):
                key = str(key_node.value)  # a column named 2024
            if key in content:
                raise ValueError(f"{name}, line {line}: key {key!r} occurs twice")
            content[key] = _value(loader, value_node, _join(path, key), lines, name)
            lines[_join(path, key)] = line
        return content
    return loader.construct_object(node, deep=True)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _line(mark: Any) -> int:
    return 1 if mark is None else int(mark.line) + 1
