"""Short names of keys and values that stay unambiguous."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from sweeps.space.parameter import Parameter


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """Each dotted key's shortest tail that no other key has.

    Args:
        keys: Dotted keys.
    """
    parts = {key: key.split(".") for key in keys}
    tails = Counter(".".join(words[-size:]) for words in parts.values() for size in range(1, len(words) + 1))
    return {
        key: next((tail for size in range(1, len(words)) if tails[tail := ".".join(words[-size:])] == 1), key)
        for key, words in parts.items()
    }


def shortened(text: str, size: int = 16) -> str:
    """A text shortened in the middle to a maximal length: both ends distinguish names."""
    return text if len(text) <= size else f"{text[: (size - 1) // 2]}…{text[-(size // 2) :]}"


def value_name(value: Any, parameter: Parameter | None = None) -> str:
    """A short text for a value: four digits of a number; the unambiguous tail of a class path.

    Args:
        value: As in the config, or as Optuna stores it.
        parameter: Its parameter; None for a fixed value.
    """
    if isinstance(value, float):
        return f"{value:.4g}"
    if parameter is not None and parameter.kind == "class":
        return short_names(map(str, parameter.choices)).get(str(value), str(value))
    return str(value)
