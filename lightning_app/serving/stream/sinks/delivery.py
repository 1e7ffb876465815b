"""Delivery: produces what the outbox holds, and hears which messages were acknowledged."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.stream.event import Output
from lightning_app.serving.stream.sinks.protocol import Sink
from lightning_app.serving.stream.tables import outbox
from lightning_app.serving.stream.tables.outbox import Parcel

_log = logging.getLogger("lightning_app.serving.stream")
_AGAIN_SECONDS = 1.0
"""When a message that a sink did not take is produced again."""


class _Sending:
    """A parcel of which some messages are not acknowledged yet."""

    def __init__(self, parcel: Parcel) -> None:
        self.parcel = parcel
        self.left = len(parcel.messages)
        self.again: list[Output] = []
        self.stuck: list[Output] = []
        self.error = ""


class Delivery:
    """Messages of one worker.

    Args:
        database: The database of the journal.
        sinks: Sink by target.
        stream: Name of the stream.
        holder: The worker.
        lease_seconds: After this time without a sign of life, another worker produces its messages.

    Attributes:
        in_flight: Messages that are not acknowledged.
        acknowledged: Messages that were, since the process started.
        failed: Messages that never will be.
    """

    def __init__(
        self,
        database: JournalDatabase,
        *,
        sinks: Mapping[str, Sink],
        stream: str,
        holder: str,
        lease_seconds: float,
    ) -> None:
        self._database, self._sinks, self._stream, self._holder = database, sinks, stream, holder
        self._seconds = lease_seconds
        self._finished: list[_Sending] = []
        self._next_sweep = 0.0
        self.in_flight = self.acknowledged = self.failed = 0

    @property
    def targets(self) -> frozenset[str]:
        """Targets that have a sink."""
        return frozenset(self._sinks)

    def write(self, sql: JournalDatabase, messages: Iterable[tuple[str, str, Output]]) -> list[Parcel]:
        """Writes messages to the outbox.

        Args:
            sql: In the transaction of the answers.
            messages: Target, partition of the event, and message.

        Returns:
            What is to be sent after the commit.
        """
        return outbox.write(sql, self._stream, messages, holder=self._holder, seconds=self._seconds)

    def send(self, parcels: Sequence[Parcel]) -> None:
        """Sends parcels.

        Args:
            parcels: Committed ones.
        """
        for parcel in parcels:
            sending = _Sending(parcel)
            self.in_flight += len(parcel.messages)
            sink = self._sinks[parcel.target]
            for message in parcel.messages:
                sink.send(message, partial(self._done, sending, message))
        self.poll(0.0)

    def poll(self, seconds: float) -> None:
        """Sends what waits, and hears what was acknowledged.

        Args:
            seconds: How long to wait for that.
        """
        for sink in self._sinks.values():
            sink.poll(seconds)

    def settle(self, sql: JournalDatabase) -> int:
        """Deletes rows whose messages are acknowledged.

        Args:
            sql: In a transaction.

        Returns:
            What `settled` is to be given after the commit.
        """
        for sending in self._finished:
            number = sending.parcel.number
            if not sending.again and not sending.stuck:
                outbox.delete(sql, [number])
            elif sending.stuck:
                outbox.keep(sql, number, [*sending.stuck, *sending.again], error=sending.error)
            else:
                outbox.keep(sql, number, sending.again, error=None, seconds=_AGAIN_SECONDS)
        return len(self._finished)

    def settled(self, number: int) -> None:
        """Forgets what was committed.

        Args:
            number: Result of `settle`.
        """
        del self._finished[:number]

    def tend(self, partitions: Sequence[str] = ()) -> None:
        """Does what is due: settles, keeps its own rows, and takes those that others have left behind.

        Args:
            partitions: Partitions that have just come.

        Raises:
            JournalError: The journal cannot be reached.
        """
        if not self._sinks:
            return
        now = time.monotonic()
        sweeps = now >= self._next_sweep
        if not sweeps and not partitions and not self._finished:
            return
        parcels: list[Parcel] = []
        with self._database.transaction():
            number = self.settle(self._database)
            for partition in partitions:
                parcels += self._claim(partition)
            if sweeps:
                outbox.prolong(self._database, self._stream, holder=self._holder, seconds=self._seconds)
                parcels += self._claim(None)
        self.settled(number)
        if sweeps:
            self._next_sweep = now + min(self._seconds / 3, _AGAIN_SECONDS)
        if parcels:
            count = sum(len(parcel.messages) for parcel in parcels)
            _log.info("%d messages of the outbox are produced again, or for the first time", count)
            self.send(parcels)

    def close(self) -> None:
        """Closes the sinks; what was not acknowledged stays in the outbox."""
        for sink in self._sinks.values():
            sink.close()

    def _claim(self, partition: str | None) -> list[Parcel]:
        targets = sorted(self._sinks)
        return outbox.claim(
            self._database, self._stream, targets, holder=self._holder, seconds=self._seconds, partition=partition
        )

    def _done(self, sending: _Sending, message: Output, error: str | None, is_final: bool) -> None:
        self.in_flight -= 1
        sending.left -= 1
        if error is None:
            self.acknowledged += 1
        elif is_final:
            self.failed += 1
            sending.stuck.append(message)
            sending.error = error
            _log.error("%s cannot be produced, and stays in the outbox: %s", message.request_id, error)
        else:
            if not sending.again:
                _log.warning("%s is produced again later: %s", message.request_id, error)
            sending.again.append(message)
        if not sending.left:
            self._finished.append(sending)
