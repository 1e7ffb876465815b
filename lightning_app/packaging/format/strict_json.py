"""Strict JSON for untrusted files: limits on size and depth, finite numbers, no duplicate keys."""

import json
import math
from collections.abc import Mapping
from typing import Any

from lightning_app.packaging.format.errors import PackageError

MAX_BYTES = 64 * 2**20
MAX_ITEMS = 2**23
"""Maximum number of values, estimated by counting commas and brackets."""
MAX_DEPTH = 32
MAX_TEXT = 2**20
"""Maximum length of a string in characters."""


def read_json(content: bytes, *, name: str) -> Any:
    """Parses UTF-8 JSON.

    Args:
        content: Content of the file.
        name: Name of the file, for messages.

    Raises:
        PackageError: The content is no JSON, too large or too deep, or has a number that is not finite or a duplicate
            key.
    """
    if len(content) > MAX_BYTES:
        raise PackageError(f"{name}: {len(content):,} bytes, at most {MAX_BYTES:,} are allowed")
    # Each byte of `[],[],[],` takes ten bytes of memory or more, so items are counted before parsing.
    if (count := sum(content.count(mark) for mark in (b",", b"[", b"{"))) > MAX_ITEMS:
        raise PackageError(f"{name}: {count:,} items, at most {MAX_ITEMS:,} are allowed")
    try:
        value = json.loads(
            content.decode("utf-8"), object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant
        )
    except RecursionError as error:
        raise PackageError(f"{name}: nested deeper than {MAX_DEPTH} levels") from error
    except ValueError as error:
        raise PackageError(f"{name}: no valid JSON: {error}") from error
    check_plain(value, name=name)
    return value


def write_json(value: Any) -> bytes:
    """Serializes to UTF-8 JSON with sorted keys: equal values give equal bytes.

    Args:
        value: Plain data with finite numbers.
    """
    check_plain(value, name="json")
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def check_plain(value: Any, *, name: str, depth: int = 0) -> None:
    """Raises unless a value consists of dicts with string keys, lists, strings, finite numbers, booleans and None.

    Args:
        value: Value to check.
        name: Name of the file, for messages.
        depth: Nesting depth of the value.
    """
    if depth > MAX_DEPTH:
        raise PackageError(f"{name}: nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _check_text(key, name)
            check_plain(inner, name=name, depth=depth + 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            if type(inner) is not float or not math.isfinite(inner):  # fast path: a golden request is mostly floats
                check_plain(inner, name=name, depth=depth + 1)
    elif isinstance(value, str):
        _check_text(value, name)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise PackageError(f"{name}: {value} given, numbers must be finite")
    elif isinstance(value, int):
        if abs(value) >= 2**63:
            raise PackageError(f"{name}: a whole number needs more than 64 bits")
    elif value is not None:
        raise PackageError(f"{name}: {type(value).__name__} given, which JSON does not know")


def _check_text(text: Any, name: str) -> None:
    if not isinstance(text, str):
        raise PackageError(f"{name}: key {text!r} given, keys must be text")
    if len(text) > MAX_TEXT:
        raise PackageError(f"{name}: a text of {len(text):,} characters, at most {MAX_TEXT:,} are allowed")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise PackageError(f"{name}: a text holds half a character (a lone surrogate)") from error
    if "\0" in text:
        raise PackageError(f"{name}: a text holds a NUL character")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in names if names.count(key) > 1)!r} occurs twice")
    return content


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} given, numbers must be finite")
