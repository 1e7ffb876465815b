"""Check of a value that goes into a detector of changes."""

from math import isfinite


def checked_value(detector: str, value: float) -> float:
    """The value, if a detector can take it.

    Args:
        detector: Name for the message.
        value: The value.

    Raises:
        ValueError: It is no finite number.
    """
    value = float(value)
    if not isfinite(value):
        raise ValueError(f"{detector}: the value {value} is not finite; leave out rows whose error is not known.")
    return value
