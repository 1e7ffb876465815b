"""QueueSource: events of the queue table in the database of the journal."""

import time
from collections.abc import Sequence

from typing_extensions import override

from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.stream.errors import LostError
from lightning_app.serving.stream.event import Event
from lightning_app.serving.stream.sources.protocol import Source
from lightning_app.serving.stream.tables import queue

_PAUSE, _LONGEST_PAUSE = 0.005, 0.1


class QueueSource(Source):
    """Claims events with a lease, and deletes them in the transaction of their answers.

    Args:
        database: The database.
        stream: Name of the queue.
        holder: The worker.
        lease_seconds: How long events are claimed for.
        poison: Claims after which an event is a dead letter.
    """

    def __init__(
        self, database: JournalDatabase, *, stream: str, holder: str, lease_seconds: float, poison: int
    ) -> None:
        self._database, self._stream, self._holder, self._seconds = database, stream, holder, lease_seconds
        self._poison = poison
        self._kept = 0.0

    @override
    def open(self) -> None:
        pass

    @override
    def poll(self, most: int, seconds: float) -> list[Event]:
        end, pause = time.monotonic() + seconds, _PAUSE
        while not queue.waits(self._database, self._stream):
            if time.monotonic() >= end:
                return []
            time.sleep(max(0.0, min(pause, end - time.monotonic())))
            pause = min(2 * pause, _LONGEST_PAUSE)
        self._kept = time.monotonic()
        with self._database.transaction():
            events = queue.claim(self._database, self._stream, holder=self._holder, most=most, seconds=self._seconds)
        for event in events:
            if event.attempts > self._poison:
                event.problem = "poison", f"it was claimed {event.attempts} times, and its workers have died"
        return events

    @override
    def settle(self, sql: JournalDatabase, events: Sequence[Event]) -> None:
        numbers = [int(event.position) for event in events]
        deleted = queue.delete(sql, numbers, holder=self._holder)
        if len(deleted) < len(numbers):
            lost = [event.request_id for event, number in zip(events, numbers, strict=True) if number not in deleted]
            raise LostError(lost)

    @override
    def committed(self, events: Sequence[Event]) -> None:
        pass  # they were deleted with their answers

    @override
    def keep(self) -> None:
        if time.monotonic() - self._kept < self._seconds / 3:
            return
        self._kept = time.monotonic()
        with self._database.transaction():
            queue.prolong(self._database, self._stream, holder=self._holder, seconds=self._seconds)

    @override
    def lag(self) -> dict[str, int] | None:
        return {"": queue.sizes(self._database).get(self._stream, 0)}

    @override
    def close(self) -> None:
        with self._database.transaction():
            queue.release(self._database, self._stream, holder=self._holder)
