"""Structure of a features file: plain dicts become definitions one by one, so that a message names the place."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

import msgspec

from features.definitions.base import Definition
from features.definitions.label import Label
from features.definitions.messages import nearest
from features.definitions.source import Entity, Source
from features.definitions.view import Feature, FeatureView

T = TypeVar("T")
SECTIONS: Mapping[str, Any] = {"entities": Entity, "sources": Source, "views": FeatureView, "labels": Label}
_UNKNOWN = re.compile(r"unknown field `(.+?)`")
_INNER = re.compile(r" - at `\$\.?(.*)`$")


def read_structure(content: Any, *, name: str) -> dict[str, Any]:
    """Turns the content of a features file into definitions.

    Args:
        content: Plain dicts and lists.
        name: Name of the file for messages.

    Returns:
        The arguments of `Definitions`.

    Raises:
        ValueError: A key or a kind is unknown, missing, or a value is of another type.
    """
    sections = _mapping(content, name)
    for key in sections:
        if key not in (*SECTIONS, "description"):
            raise ValueError(f"{name}: unknown key {key!r}{nearest(key, SECTIONS)}")
    read: dict[str, Any] = {"views": {}, "description": str(sections.get("description", ""))}
    for section, kind in SECTIONS.items():
        parts = _mapping(sections.get(section) or {}, f"{name}: {section}")
        read[section] = {key: _part(part, kind, f"{name}: {section}.{key}") for key, part in parts.items()}
    return read


def _part(content: Any, kind: Any, place: str) -> Any:
    if kind is FeatureView:
        content = dict(_mapping(content, place))
        features = _mapping(content.get("features") or {}, f"{place}.features")
        content["features"] = {key: _convert(one, Feature, f"{place}.features.{key}") for key, one in features.items()}
    return _convert(content, kind, place)


def _convert(content: Any, kind: Any, place: str) -> Any:
    kinds = {one.__struct_config__.tag: one for one in get_args(kind)}  # empty unless the kind is a union
    if kinds:
        tag = _mapping(content, place).get("kind")
        if tag not in kinds:
            said = f"unknown kind {tag!r}" if "kind" in content else "no `kind` is given"
            raise ValueError(f"{place}: {said}{nearest(str(tag), kinds)}")
        kind = kinds[tag]
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise ValueError(_explain(str(error), kind, place)) from error


def _explain(text: str, kind: type[Definition], place: str) -> str:
    if inner := _INNER.search(text):
        place, text = f"{place}.{inner[1]}", text[: inner.start()]
    if unknown := _UNKNOWN.search(text):
        names = [field.encode_name for field in msgspec.structs.fields(kind)]
        return f"{place}: unknown key {unknown[1]!r}{nearest(unknown[1], names)}"
    return f"{place}: {text[0].lower()}{text[1:]}"


def _mapping(content: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        raise ValueError(f"{place}: keys with values are needed, {type(content).__name__} given")
    return content
