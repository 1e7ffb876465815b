"""Times as whole microseconds, exact; those without a zone count as UTC."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


def as_microseconds(time: datetime) -> int:
    """Microseconds since 1970.

    Args:
        time: The time.
    """
    naive = time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)
    return (naive - _EPOCH) // _MICROSECOND


def as_datetime(microseconds: int, *, zoned: bool) -> datetime:
    """The time of a number of microseconds since 1970.

    Args:
        microseconds: The number.
        zoned: Whether the time has a zone, UTC.
    """
    time = _EPOCH + timedelta(microseconds=microseconds)
    return time.replace(tzinfo=UTC) if zoned else time
