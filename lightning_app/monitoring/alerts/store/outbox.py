"""Outbox: messages that were written with the change that they are about, until a sink has taken them."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from lightning_app.monitoring.alerts.message import Message
from lightning_app.serving.journal.stores.database import JournalDatabase

LONGEST_PAUSE = 3600.0
"""Longest time between two attempts, in seconds."""
_KEEP_SENT, _KEEP_FAILED = 7 * 86_400.0, 30 * 86_400.0
_message = msgspec.json.Decoder(Message).decode


class Parcel(NamedTuple):
    """A message for a sink.

    Attributes:
        number: Of its row; messages of a sink are sent in this order.
        sink: Name of the sink.
        created: When it was written, Unix seconds.
        attempts: How often it was tried.
        message: The message.
    """

    number: int
    sink: str
    created: float
    attempts: int
    message: Message


class SinkCount(NamedTuple):
    """How a sink does.

    Attributes:
        sink: Name of the sink.
        waiting: Messages that wait.
        sent: Messages that it took within the last week.
        failed: Messages that were given up within the last month.
        error: Why the last attempt failed, or the last message was given up; None if it has taken one since.
    """

    sink: str
    waiting: int
    sent: int
    failed: int
    error: str | None


def put(database: JournalDatabase, sink: str, messages: Sequence[Message]) -> None:
    """Writes messages, within the transaction of the change.

    Args:
        database: Database of the journal.
        sink: Name of the sink.
        messages: The messages.
    """
    database.execute_many(
        f"INSERT INTO {database.table('alert_messages')} (id, monitor, sink, created, message, status, attempts, "
        "next_attempt, claimed_until) VALUES (?, ?, ?, ?, ?, 'waiting', 0, 0, 0)",
        [(one.id, one.monitor, sink, one.time, msgspec.json.encode(one).decode()) for one in messages],
    )


def claim(database: JournalDatabase, monitor: str, sink: str, *, now: float, seconds: float, most: int) -> list[Parcel]:
    """Takes the first messages of a sink; none while an earlier one waits for its next attempt.

    Args:
        database: Database of the journal, in a transaction.
        monitor: Name of the monitor.
        sink: Name of the sink.
        now: Unix seconds; messages of a later time than could be are tried at once.
        seconds: For how long nobody else takes them.
        most: Most messages.
    """
    table = database.table("alert_messages")
    rows = database.execute(
        f"SELECT number, created, attempts, message, next_attempt, claimed_until FROM {table} "
        "WHERE monitor = ? AND sink = ? AND status = 'waiting' ORDER BY number LIMIT ?",
        (monitor, sink, most),
    )
    parcels: list[Parcel] = []
    for number, created, attempts, message, next_attempt, claimed_until in rows:
        if _is_later(next_attempt, now, LONGEST_PAUSE) or _is_later(claimed_until, now, seconds):
            break
        parcels.append(Parcel(number, sink, created, attempts, _message(message)))
    database.execute_many(
        f"UPDATE {table} SET claimed_until = ? WHERE number = ?",
        [(now + seconds, parcel.number) for parcel in parcels],
    )
    return parcels


def sent(database: JournalDatabase, parcel: Parcel, *, note: str | None, now: float) -> None:
    """Says that a sink took a message.

    Args:
        database: Database of the journal, in a transaction.
        parcel: The message.
        note: What it did not do all the same.
        now: Unix seconds.
    """
    _end(database, parcel, "sent", note, now)


def failed(database: JournalDatabase, parcel: Parcel, *, error: str, now: float) -> None:
    """Gives a message up.

    Args:
        database: Database of the journal, in a transaction.
        parcel: The message.
        error: Why.
        now: Unix seconds.
    """
    _end(database, parcel, "failed", error, now)


def postpone(database: JournalDatabase, parcel: Parcel, *, error: str, seconds: float, now: float) -> None:
    """Says that an attempt failed, and when the next one is.

    Args:
        database: Database of the journal, in a transaction.
        parcel: The message.
        error: Why.
        seconds: How long until the next attempt, at most `LONGEST_PAUSE`.
        now: Unix seconds.
    """
    database.execute(
        f"UPDATE {database.table('alert_messages')} SET attempts = attempts + 1, next_attempt = ?, claimed_until = 0, "
        "error = ? WHERE number = ? AND status = 'waiting'",
        (now + min(seconds, LONGEST_PAUSE), error, parcel.number),
    )


def give_back(database: JournalDatabase, parcels: Sequence[Parcel]) -> None:
    """Gives back messages that were claimed and not tried.

    Args:
        database: Database of the journal, in a transaction.
        parcels: The messages.
    """
    database.execute_many(
        f"UPDATE {database.table('alert_messages')} SET claimed_until = 0 WHERE number = ? AND status = 'waiting'",
        [(parcel.number,) for parcel in parcels],
    )


def sinks_waited_for(database: JournalDatabase, monitor: str) -> list[str]:
    """Names of sinks that messages wait for.

    Args:
        database: Database of the journal.
        monitor: Name of the monitor.
    """
    rows = database.execute(
        f"SELECT DISTINCT sink FROM {database.table('alert_messages')} WHERE monitor = ? AND status = 'waiting'",
        (monitor,),
    )
    return sorted(row[0] for row in rows)


def prune(database: JournalDatabase, *, now: float) -> None:
    """Deletes messages that were sent a week ago, or given up a month ago, within a transaction.

    Args:
        database: Database of the journal.
        now: Unix seconds.
    """
    table = database.table("alert_messages")
    for status, seconds in (("sent", _KEEP_SENT), ("failed", _KEEP_FAILED)):
        database.execute(f"DELETE FROM {table} WHERE status = ? AND done < ?", (status, now - seconds))


def sink_counts(database: JournalDatabase, monitor: str | None = None) -> list[SinkCount]:
    """How each sink does that there was a message for.

    Args:
        database: Database of the journal.
        monitor: Name of the monitor; None counts all.
    """
    table = database.table("alert_messages")
    where, values = ("", ()) if monitor is None else ("WHERE monitor = ?", (monitor,))
    rows = database.execute(f"SELECT sink, status, count(*) FROM {table} {where} GROUP BY sink, status", values)
    counts: dict[str, dict[str, int]] = {}
    for sink, status, number in rows:
        counts.setdefault(sink, {})[status] = number
    errors: dict[str, str | None] = dict(
        database.execute(
            f"SELECT sink, error FROM {table} WHERE number IN (SELECT max(number) FROM {table} "
            f"{where + ' AND' if where else 'WHERE'} (attempts > 0 OR status = 'failed') GROUP BY sink)",
            values,
        )
    )
    return [
        SinkCount(sink, by.get("waiting", 0), by.get("sent", 0), by.get("failed", 0), errors.get(sink))
        for sink, by in sorted(counts.items())
    ]


def _end(database: JournalDatabase, parcel: Parcel, status: str, error: str | None, now: float) -> None:
    database.execute(
        f"UPDATE {database.table('alert_messages')} SET status = ?, attempts = attempts + 1, claimed_until = 0, "
        "done = ?, error = ? WHERE number = ?",
        (status, now, error, parcel.number),
    )


def _is_later(time: float, now: float, most: float) -> bool:
    """Whether a time is still to come; one that is too far away is of a clock that was set back since."""
    return now < time <= now + most
