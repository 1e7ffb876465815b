"""Outbox: messages that were written with their answers, and that a sink has not acknowledged yet."""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.stream.event import Output

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Output]).decode


class Parcel(NamedTuple):
    """Messages of one transaction, target and partition: one row, deleted once all of them are acknowledged.

    Attributes:
        number: Number of the row.
        target: `answers` or `dead`.
        messages: The messages.
    """

    number: int
    target: str
    messages: list[Output]


def write(
    sql: JournalDatabase, stream: str, messages: Iterable[tuple[str, str, Output]], *, holder: str, seconds: float
) -> list[Parcel]:
    """Writes messages.

    Args:
        sql: In the transaction of the answers.
        stream: Name of the stream.
        messages: Target, partition of the event, and message.
        holder: The worker, who will produce them.
        seconds: After this time, another worker may.
    """
    groups: dict[tuple[str, str], list[Output]] = defaultdict(list)
    for target, partition, message in messages:
        groups[target, partition].append(message)
    insert = (
        f"INSERT INTO {sql.table('outbox')} (stream, target, partition, time, messages, num_messages, holder, "
        "lease_until) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING number"
    )
    now = time.time()
    parcels = []
    for (target, partition), group in groups.items():
        values = (stream, target, partition, now, _encode(group), len(group), holder, now + seconds)
        ((number,),) = sql.execute(insert, values)
        parcels.append(Parcel(number, target, group))
    return parcels


def delete(sql: JournalDatabase, numbers: Sequence[int]) -> None:
    """Deletes rows whose messages are acknowledged.

    Args:
        sql: In a transaction.
        numbers: The rows.
    """
    for number in numbers:
        sql.execute(f"DELETE FROM {sql.table('outbox')} WHERE number = ?", (number,))


def prolong(sql: JournalDatabase, stream: str, *, holder: str, seconds: float) -> None:
    """Keeps the rows of a worker that lives; not those that it has set aside until later.

    Args:
        sql: In a transaction.
        stream: Name of the stream.
        holder: The worker.
        seconds: For how long from now.
    """
    sql.execute(
        f"UPDATE {sql.table('outbox')} SET lease_until = ? WHERE stream = ? AND holder = ? AND error IS NULL",
        (time.time() + seconds, stream, holder),
    )


def claim(
    sql: JournalDatabase,
    stream: str,
    targets: Sequence[str],
    *,
    holder: str,
    seconds: float,
    partition: str | None = None,
    most: int = 16,
) -> list[Parcel]:
    """Takes rows that a worker has left behind.

    Args:
        sql: In a transaction.
        stream: Name of the stream.
        targets: Targets that the worker has sinks for.
        holder: The worker that will produce them.
        seconds: For how long they are its own.
        partition: A partition that this worker has just taken: nobody else will produce what it left; None takes
            what nobody holds any more.
        most: Most rows.
    """
    table, now = sql.table("outbox"), time.time()
    which, values = "lease_until < ?", list[Any]([now])
    if partition is not None:
        which, values = "partition = ? AND holder <> ?", [partition, holder]
    marks = ", ".join("?" * len(targets))
    rows = sql.execute(
        f"UPDATE {table} SET holder = ?, lease_until = ? WHERE number IN (SELECT number FROM {table} WHERE stream = ? "
        f"AND error IS NULL AND target IN ({marks}) AND {which} ORDER BY number LIMIT ?{sql.skip_locked}) "
        "RETURNING number, target, messages",
        (holder, now + seconds, stream, *targets, *values, most),
    )
    return [Parcel(number, target, _decode(bytes(messages))) for number, target, messages in sorted(rows)]


def keep(
    sql: JournalDatabase, number: int, messages: Sequence[Output], *, error: str | None, seconds: float = 0.0
) -> None:
    """Keeps what was not acknowledged.

    Args:
        sql: In a transaction.
        number: The row.
        messages: Its messages that are left.
        error: Why they never will be acknowledged; None if they are to be produced again.
        seconds: When they are to be produced again.
    """
    sql.execute(
        f"UPDATE {sql.table('outbox')} SET messages = ?, num_messages = ?, error = ?, lease_until = ?, holder = '' "
        "WHERE number = ?",
        (_encode(list(messages)), len(messages), error, time.time() + seconds, number),
    )


def listed(sql: JournalDatabase) -> dict[str, tuple[int, int]]:
    """By stream: number of messages that are not acknowledged yet, and of those that never will be.

    Args:
        sql: The database.
    """
    rows = sql.execute(
        "SELECT stream, sum(CASE WHEN error IS NULL THEN num_messages ELSE 0 END), "
        f"sum(CASE WHEN error IS NULL THEN 0 ELSE num_messages END) FROM {sql.table('outbox')} GROUP BY stream"
    )
    return {stream: (int(waiting), int(stuck)) for stream, waiting, stuck in rows}
