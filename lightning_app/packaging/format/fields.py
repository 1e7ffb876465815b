"""What the fields of a manifest may hold; what they may not is a `PackageError` that begins with the key."""

import re
from typing import Any

from lightning_app.packaging.format.errors import PackageError

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_NAMES = "1 to 200 characters of A-Z a-z 0-9 _ . -"
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")


def name_field(given: Any, key: str) -> str:
    """A name of letters, digits, `_`, `.` and `-`.

    Args:
        given: What was given.
        key: How errors call it.
    """
    need(isinstance(given, str) and bool(_NAME.fullmatch(given)), key, _NAMES, given)
    return str(given)


def file_name_field(given: Any, key: str) -> str:
    """A name of a file beside others: no folder, not hidden.

    Args:
        given: What was given.
        key: How errors call it.
    """
    need(isinstance(given, str) and bool(_FILE_NAME.fullmatch(given)), key, f"{_NAMES}, not '.' or '-' first", given)
    return str(given)


def texts_field(given: Any, key: str) -> tuple[str, ...] | None:
    """A list of texts that are not empty, or None.

    Args:
        given: What was given.
        key: How errors call it.
    """
    if given is None:
        return None
    is_list = isinstance(given, list | tuple)
    need(is_list and all(isinstance(text, str) and text for text in given), key, "a list of texts", given)
    return tuple(given)


def exact_keys(given: Any, allowed: tuple[str, ...], key: str) -> None:
    """Raises unless an object has these keys and no other.

    Args:
        given: What was given.
        allowed: The keys.
        key: How errors call it.
    """
    need(isinstance(given, dict), key, "an object", given)
    missing = [name for name in allowed if name not in given]
    extra = [name for name in given if name not in allowed]
    need(not missing, key, f"the keys {', '.join(missing)} too", list(given))
    need(not extra, key, f"no keys but {', '.join(allowed)}", extra)


def one_of(given: Any, allowed: tuple[str, ...], key: str) -> str:
    """One of the words that are allowed.

    Args:
        given: What was given.
        allowed: The words.
        key: How errors call it.
    """
    need(isinstance(given, str) and given in allowed, key, f"one of {', '.join(allowed)}", given)
    return str(given)


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def need(condition: bool, key: str, wanted: str, given: Any) -> None:
    """Raises a `PackageError` unless a condition holds.

    Args:
        condition: What must hold.
        key: Of the field.
        wanted: What is needed, in words.
        given: What was given instead.
    """
    if not condition:
        text = repr(given)
        raise PackageError(f"{key}: {text if len(text) <= 200 else text[:200] + '...'} given, {wanted} needed")
