"""Contract files: YAML or JSON read strictly, with the line of each message."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from features.contracts.rules import RULES
from features.contracts.rules.contract_column import ContractColumn
from features.definitions.base import Definition
from features.definitions.messages import nearest

_UNKNOWN = re.compile(r"unknown field `(.+?)`")
_INNER = re.compile(r" - at `\$\.?(.*)`$")


def read_contract_file(path: Path) -> tuple[Any, dict[str, int]]:
    """Reads a contract as plain data.

    Args:
        path: YAML or JSON file.

    Returns:
        content: Plain dicts and lists.
        lines: Line of each value by its place, such as `rules.3.min`; empty for JSON.

    Raises:
        ValueError: The file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"contract: {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"contract: {path} is not UTF-8 text") from error
    if path.suffix == ".json":
        try:
            return json.loads(text), {}
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {error.lineno}: no JSON: {error.msg}") from error
    from features.contracts.files.strict_yaml import parse_yaml

    return parse_yaml(text, name=str(path))


def read_structure(content: Any, kind: type[Definition], *, name: str, lines: Mapping[str, int]) -> dict[str, Any]:
    """Checks keys and types part by part, so that a message names the place.

    Args:
        content: Plain dicts and lists.
        kind: Class of the contract.
        name: Name of the file for messages.
        lines: Lines by place, see `read_contract_file`.

    Returns:
        The content, with typed columns and rules.

    Raises:
        ValueError: A key or a kind is unknown, or a value is of another type.
    """
    place = _Place(name, lines)
    parts = dict(_mapping(content, place, ""))
    known = [field.encode_name for field in msgspec.structs.fields(kind)]
    for key in parts:
        if key not in known:
            raise ValueError(f"{place(key)}: unknown key {key!r}{nearest(key, known)}")
    columns = _mapping(parts.get("columns") or {}, place, "columns")
    if "columns" in parts:
        parts["columns"] = {
            key: _convert(one or {}, ContractColumn, place, f"columns.{key}") for key, one in columns.items()
        }
    if "rules" in parts:
        rules = parts["rules"]
        if not isinstance(rules, list):
            raise ValueError(f"{place('rules')}: a list of rules is needed, each with its kind")
        parts["rules"] = tuple(_rule(one, place, f"rules.{index}") for index, one in enumerate(rules))
    return parts


def contract_yaml(data: Mapping[str, Any]) -> str:
    """A contract as YAML, one line for each column and rule.

    Args:
        data: The contract as plain dicts and lists.
    """
    from features.contracts.files.strict_yaml import flow

    lines = [f"{key}: {flow(value)}" for key, value in data.items() if key not in ("columns", "rules")]
    if data.get("columns"):
        lines += ["columns:", *(f"  {flow(name)}: {flow(column)}" for name, column in data["columns"].items())]
    if data.get("rules"):
        lines += ["rules:", *(f"  - {flow(rule)}" for rule in data["rules"])]
    return "\n".join([*lines, ""])


class _Place:
    """Names a place in a file for messages.

    Args:
        name: Name of the file.
        lines: Lines by place.
    """

    def __init__(self, name: str, lines: Mapping[str, int]) -> None:
        self._name = name
        self._lines = lines

    def __call__(self, path: str) -> str:
        known = path
        while known and known not in self._lines:
            known = known.rpartition(".")[0]
        line = f", line {self._lines[known]}" if known in self._lines else ""
        return f"{self._name}{line}: {path}".removesuffix(": ")


def _rule(content: Any, place: _Place, path: str) -> Any:
    kinds = {str(one.__struct_config__.tag): one for one in RULES}
    kind = _mapping(content, place, path).get("kind")
    if kind not in kinds:
        said = f"unknown kind {kind!r}" if "kind" in content else "no `kind` is given"
        raise ValueError(f"{place(path)}: {said}{nearest(str(kind), kinds)}")
    return _convert(content, kinds[kind], place, path)


def _convert(content: Any, kind: type[Definition], place: _Place, path: str) -> Any:
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        text = str(error)
        if inner := _INNER.search(text):
            path, text = f"{path}.{inner[1]}".removesuffix("."), text[: inner.start()]
        if unknown := _UNKNOWN.search(text):
            names = [field.encode_name for field in msgspec.structs.fields(kind)]
            where = place(f"{path}.{unknown[1]}")
            raise ValueError(f"{where}: unknown key {unknown[1]!r}{nearest(unknown[1], names)}") from error
        raise ValueError(f"{place(path)}: {text[0].lower()}{text[1:]}") from error


def _mapping(content: Any, place: _Place, path: str) -> Mapping[str, Any]:
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        given = "nothing" if content is None else type(content).__name__
        raise ValueError(f"{place(path)}: keys with values are needed, {given} given")
    return content
