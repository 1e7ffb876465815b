"""Manifest field checks: an invalid field raises a `PackageError` that begins with its key."""

import re
from typing import Any

from lightning_app.packaging.format.errors import PackageError

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_NAMES = "1 to 200 characters of A-Z a-z 0-9 _ . -"
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")


def name_field(value: Any, key: str) -> str:
    """Checks a name of letters, digits, `_`, `.` and `-`.

    Args:
        value: Value of the field.
        key: Key of the field, for messages.
    """
    need(isinstance(value, str) and bool(_NAME.fullmatch(value)), key, _NAMES, value)
    return str(value)


def file_name_field(value: Any, key: str) -> str:
    """Checks the name of a file in the package folder: no path, not hidden.

    Args:
        value: Value of the field.
        key: Key of the field, for messages.
    """
    need(isinstance(value, str) and bool(_FILE_NAME.fullmatch(value)), key, f"{_NAMES}, not '.' or '-' first", value)
    return str(value)


def texts_field(value: Any, key: str) -> tuple[str, ...] | None:
    """Checks a list of non-empty strings, or None.

    Args:
        value: Value of the field.
        key: Key of the field, for messages.
    """
    if value is None:
        return None
    is_list = isinstance(value, list | tuple)
    need(is_list and all(isinstance(text, str) and text for text in value), key, "a list of texts", value)
    return tuple(value)


def exact_keys(value: Any, allowed: tuple[str, ...], key: str) -> None:
    """Raises unless an object has exactly these keys.

    Args:
        value: Value of the field.
        allowed: Required keys.
        key: Key of the field, for messages.
    """
    need(isinstance(value, dict), key, "an object", value)
    missing = [name for name in allowed if name not in value]
    extra = [name for name in value if name not in allowed]
    need(not missing, key, f"the keys {', '.join(missing)} too", list(value))
    need(not extra, key, f"no keys but {', '.join(allowed)}", extra)


def one_of(value: Any, allowed: tuple[str, ...], key: str) -> str:
    """Checks a string against the allowed ones.

    Args:
        value: Value of the field.
        allowed: Allowed strings.
        key: Key of the field, for messages.
    """
    need(isinstance(value, str) and value in allowed, key, f"one of {', '.join(allowed)}", value)
    return str(value)


def is_whole(value: Any) -> bool:
    """Whether a value is an integer; booleans are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a number; booleans are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def need(condition: bool, key: str, needed: str, value: Any) -> None:
    """Raises a `PackageError` unless a condition holds.

    Args:
        condition: Condition that must hold.
        key: Key of the field.
        needed: What is needed, in words.
        value: Value of the field.
    """
    if not condition:
        text = repr(value)
        raise PackageError(f"{key}: {text if len(text) <= 200 else text[:200] + '...'} given, {needed} needed")
