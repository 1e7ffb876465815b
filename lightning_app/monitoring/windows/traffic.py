"""Traffic: how much each version answered, counted by the journal's database."""

import math

from msgspec import Struct

from lightning_app.monitoring.report.structs import Window
from lightning_app.serving.journal.stores.database import JournalDatabase


class Traffic(Struct, frozen=True, kw_only=True):
    """What a version answered in a window.

    Attributes:
        version: Number in the registry; None for a folder.
        digest: Digest of its package.
        requests: Answered requests.
        rows: Their rows.
        degraded: Requests that a fallback answered.
        first: Arrival of the first request, Unix seconds.
        last: Arrival of the last one.
    """

    version: int | None
    digest: str
    requests: int
    rows: int
    degraded: int
    first: float
    last: float


def traffic(database: JournalDatabase, model: str, window: Window) -> list[Traffic]:
    """Traffic by version, the busiest first.

    Args:
        database: Database of the journal.
        model: Name of the model.
        window: The window, by the time at which requests arrived.

    Raises:
        JournalError: The journal cannot be read.
    """
    rows = database.execute(
        "SELECT version, digest, count(*), sum(num_rows), count(degraded), min(time), max(time) "
        f"FROM {database.answered} AS p WHERE model = ? AND time >= ? AND time < ? GROUP BY version, digest",
        (model, window.since, window.until),
    )
    found = [
        Traffic(version=version, digest=digest, requests=requests, rows=int(rows), degraded=degraded,
                first=first, last=last)
        for version, digest, requests, rows, degraded, first, last in rows
    ]  # fmt: skip
    return sorted(found, key=lambda one: (-one.rows, one.digest))


def answering_models(database: JournalDatabase) -> list[str]:
    """Models that the journal has predictions of, by name.

    Args:
        database: Database of the journal.

    Raises:
        JournalError: The journal cannot be read.
    """
    return [row[0] for row in database.execute(f"SELECT DISTINCT model FROM {database.answered} AS p ORDER BY model")]


def first_answers(database: JournalDatabase, model: str) -> list[Traffic]:
    """Traffic of each version over all time; `first` is its first answer.

    Args:
        database: Database of the journal.
        model: Name of the model.

    Raises:
        JournalError: The journal cannot be read.
    """
    return traffic(database, model, Window(since=-math.inf, until=math.inf))


def windows_until(until: float, *, every: float, length: float) -> list[Window]:
    """Windows of equal length that cover a span of time; their begins do not depend on when they are asked for.

    The first one may begin before the span, the last one ends with it.

    Args:
        until: End of the span, Unix seconds.
        every: Length of a window in seconds; windows begin at multiples of it.
        length: Length of the span in seconds.
    """
    first, last = math.floor((until - length) / every), math.ceil(until / every)
    return [
        Window(since=number * every, until=min((number + 1) * every, until))
        for number in range(min(first, last - 1), last)
    ]
