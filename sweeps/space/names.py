"""Keys and values in as few words as tell them apart."""

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
    """A text of at most so many letters, cut in its middle: both ends tell names apart."""
    return text if len(text) <= size else f"{text[: (size - 1) // 2]}…{text[-(size // 2) :]}"


def value_name(value: Any, parameter: Parameter | None = None) -> str:
    """A value in a word: four digits of a number; of a class as much of its path as no other choice has.

    Args:
        value: As the config takes it, or as Optuna holds it.
        parameter: Whose value it is; None for what does not vary.
    """
    if isinstance(value, float):
        return f"{value:.4g}"
    if parameter is not None and parameter.kind == "class":
        return short_names(map(str, parameter.choices)).get(str(value), str(value))
    return str(value)
