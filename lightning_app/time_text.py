"""Times as text."""

from datetime import UTC, datetime


def utc(time: float) -> str:
    """A time as `2026-11-22 10:00 UTC`.

    Args:
        time: Unix seconds.
    """
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M UTC")
