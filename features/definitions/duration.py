"""Durations: fixed lengths of time in definitions, such as `90d`, `1h30m` or `39w`."""

import re
from typing import Annotated

import msgspec

_MICROSECONDS = {
    "w": 7 * 86_400_000_000,
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
}
_PART = re.compile(r"(\d+)(ms|us|w|d|h|m|s)")

Duration = Annotated[str, msgspec.Meta(description="e.g. 90d, 1h30m, 39w")]
"""A fixed length of time; months and years vary in length and are refused."""


def microseconds(duration: str) -> int:
    """Length of a duration.

    Args:
        duration: E.g. `90d`, `1h30m`.

    Returns:
        Microseconds.

    Raises:
        ValueError: The duration is malformed, or of no length.
    """
    parts = _PART.findall(duration)
    total = sum(int(number) * _MICROSECONDS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != duration or not total:
        raise ValueError(
            f"{duration!r} is no duration: whole numbers of w, d, h, m, s, ms or us are needed, such as 90d or 1h30m"
        )
    return total


def seconds(duration: str) -> float:
    """Length of a duration in seconds.

    Args:
        duration: E.g. `90d`, `1h30m`.

    Raises:
        ValueError: The duration is malformed, or of no length.
    """
    return microseconds(duration) / 1e6
