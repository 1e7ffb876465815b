"""Delivery: sends the messages of the outbox, each sink in a thread of its own."""

import logging
import queue
import random
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from features.definitions.duration import seconds
from lightning_app.errors import describe
from lightning_app.monitoring.alerts.sinks.open_sinks import open_sinks
from lightning_app.monitoring.alerts.sinks.sink import Sink, SinkError
from lightning_app.monitoring.alerts.store import outbox
from lightning_app.monitoring.alerts.store.outbox import LONGEST_PAUSE, Parcel
from lightning_app.monitoring.config.alert_sinks import AnySink
from lightning_app.serving.experiments.store import Lease
from lightning_app.serving.journal.stores.database import JournalDatabase

_log = logging.getLogger("lightning_app.monitoring.alerts")
_AT_ONCE = 20
"""Messages of a sink that are sent in one call."""
_BATCH_SECONDS = 30.0
"""After which time no further message of a batch is begun."""
_CLAIM_SECONDS = 300.0
"""Above `_BATCH_SECONDS` and the longest timeout: who claimed and did not answer has gone."""
_FIRST_PAUSE = 5.0


class Delivered(NamedTuple):
    """What one call has done.

    Attributes:
        sent: Messages that sinks took.
        postponed: Messages whose attempt failed, and that are tried again.
        failed: Messages that were given up.
    """

    sent: int = 0
    postponed: int = 0
    failed: int = 0


class _Attempt(NamedTuple):
    parcel: Parcel
    error: SinkError | None
    note: str | None


class Delivery:
    """Sends what is in the outbox.

    A message is sent at least once: a process that is killed after a receiver took it sends it again, with the same
    id. Messages of a sink are sent in their order, so a receiver that is down holds up its own, and no other's.

    Args:
        database: Database of the journal; used by the calling thread alone.
        sinks: Configurations of the sinks.
        monitor: Name of the monitor.
        lease: Who holds it sends.
    """

    def __init__(self, database: JournalDatabase, sinks: Sequence[AnySink], *, monitor: str, lease: Lease) -> None:
        self._database, self._monitor, self._lease = database, monitor, lease
        self._configs = {config.name: config for config in sinks}
        self._sinks = open_sinks(sinks)
        self._threads: dict[str, threading.Thread] = {}

    def deliver(self, now: float) -> Delivered:
        """Sends what is due; takes as long as the slowest receiver, at most about a minute.

        Args:
            now: Unix seconds.

        Raises:
            JournalError: The journal cannot be written.
        """
        begin = time.monotonic()
        names = outbox.sinks_waited_for(self._database, self._monitor)  # only reads: mostly there is nothing to do
        if not names or self._lease.hold() is None:
            return Delivered()
        batches, homeless = self._claim(names, now)
        attempts: queue.SimpleQueue[_Attempt | None] = queue.SimpleQueue()
        for name, parcels in batches.items():
            thread = threading.Thread(
                target=_send_all, args=(self._sinks[name], parcels, attempts), name=f"alerts to {name}", daemon=True
            )
            self._threads[name] = thread
            thread.start()
        count, open_batches = Delivered(failed=homeless), len(batches)
        untried = {parcel.number: parcel for parcels in batches.values() for parcel in parcels}
        while open_batches:
            try:
                attempt = attempts.get(timeout=max(0.0, begin + _CLAIM_SECONDS / 2 - time.monotonic()))
            except queue.Empty:  # a receiver that drips; what its thread still holds stays claimed
                return count
            if attempt is None:
                open_batches -= 1
                continue
            del untried[attempt.parcel.number]
            count = self._record(attempt, count, now + time.monotonic() - begin)
        if untried:
            with self._database.transaction():
                outbox.give_back(self._database, list(untried.values()))
        return count

    def _claim(self, names: Sequence[str], now: float) -> tuple[dict[str, list[Parcel]], int]:
        """Due messages by sink, and the number of those whose sink is not configured any more."""
        free = [name for name in names if name not in self._threads or not self._threads[name].is_alive()]
        if not free:
            return {}, 0
        batches: dict[str, list[Parcel]] = {}
        homeless = 0
        with self._database.transaction():
            if not self._lease.confirm():
                return {}, 0
            for name in free:
                parcels = outbox.claim(
                    self._database, self._monitor, name, now=now, seconds=_CLAIM_SECONDS, most=_AT_ONCE
                )
                if name in self._sinks:
                    batches |= {name: parcels} if parcels else {}
                    continue
                for parcel in parcels:
                    outbox.failed(self._database, parcel, error="there is no sink of this name any more", now=now)
                homeless += len(parcels)
        return batches, homeless

    def _record(self, attempt: _Attempt, count: Delivered, now: float) -> Delivered:
        parcel, error = attempt.parcel, attempt.error
        with self._database.transaction():
            if error is None:
                outbox.sent(self._database, parcel, note=attempt.note, now=now)
                if attempt.note is not None:
                    _log.warning("sink %s took a message in part: %s", parcel.sink, attempt.note)
                return count._replace(sent=count.sent + 1)
            limit = seconds(self._configs[parcel.sink].give_up_after)
            if error.is_final or now - parcel.created >= limit:
                outbox.failed(self._database, parcel, error=error.text, now=now)
                _log.error("sink %s: a message is given up: %s", parcel.sink, error.text)
                return count._replace(failed=count.failed + 1)
            pause = _FIRST_PAUSE * 2.0 ** min(parcel.attempts, 20) if error.pause is None else error.pause
            pause = min(pause, LONGEST_PAUSE) * (random.uniform(0.5, 1.0) if error.pause is None else 1.0)
            outbox.postpone(self._database, parcel, error=error.text, seconds=pause, now=now)
        if parcel.attempts == 0:
            _log.warning("sink %s: %s; tried again in %.0f s", parcel.sink, error.text, pause)
        return count._replace(postponed=count.postponed + 1)


def _send_all(sink: Sink, parcels: Sequence[Parcel], attempts: "queue.SimpleQueue[_Attempt | None]") -> None:
    """Sends messages in their order until one is not taken for now."""
    begin = time.monotonic()
    for parcel in parcels:
        if time.monotonic() - begin > _BATCH_SECONDS:
            break
        error, note = None, None
        try:
            note = sink.send(parcel.message)
        except SinkError as problem:
            error = problem
        except Exception as problem:  # a defect of a sink must not stop the others
            _log.exception("a sink failed")
            error = SinkError(describe(problem).partition(":")[0])
        attempts.put(_Attempt(parcel, error, note))
        if error is not None and not error.is_final:
            break
    attempts.put(None)
