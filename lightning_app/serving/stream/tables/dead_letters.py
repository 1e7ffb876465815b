"""Dead letters: events that cannot be answered, with their position and the reason."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.stream.event import DeadLetter, Output
from lightning_app.serving.stream.tables import queue
from lightning_app.terminal import plain


class StoredLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter as it is listed.

    Attributes:
        number: Number of the row.
        stream: Name of the stream.
        request_id: Id that its answer would have had.
        partition: Partition of the source.
        position: Place in the partition.
        time: When it was refused, Unix seconds.
        key: Its key.
        content_type: Media type of the body.
        code: Short name of the reason.
        reason: The reason.
        attempts: How often it was refused.
        retried: When it was put back into the stream; None if it was not.
        body: The body; None if the journal does not keep it, because columns are to be dropped or hashed.
    """

    number: int
    stream: str
    request_id: str
    partition: str
    position: str
    time: float
    key: str | None
    content_type: str
    code: str
    reason: str
    attempts: int
    retried: float | None
    body: bytes | None


_FIELDS = ", ".join(StoredLetter.__struct_fields__)


def write(sql: JournalDatabase, stream: str, letters: Sequence[DeadLetter], *, keeps_bodies: bool) -> None:
    """Writes dead letters; one that was retried and is refused again takes the place of its first row.

    Args:
        sql: In the transaction in which their positions are committed.
        stream: Name of the stream.
        letters: The letters.
        keeps_bodies: Whether bodies may be written.
    """
    insert = (
        f"INSERT INTO {sql.table('dead_letters')} AS held (stream, request_id, partition, position, time, key, "
        "content_type, body, code, reason, attempts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1) "
        "ON CONFLICT (stream, request_id) DO UPDATE SET time = excluded.time, code = excluded.code, "
        "reason = excluded.reason, attempts = held.attempts + 1, retried = NULL"
    )
    now = time.time()
    for letter in letters:
        event = letter.event
        sql.execute(
            insert,
            (
                stream, event.request_id, event.partition, event.position, now, event.key, plain(event.content_type),
                event.body if keeps_bodies else None, letter.code,
                plain(letter.reason) if keeps_bodies else letter.code,
            ),
        )  # fmt: skip


def listed(sql: JournalDatabase, *, stream: str | None, most: int, is_waiting: bool = True) -> list[StoredLetter]:
    """The newest dead letters.

    Args:
        sql: The database.
        stream: Name of the stream; None for all.
        most: Most letters.
        is_waiting: Whether to leave out those that were retried.
    """
    conditions, values = _which(stream, None, is_waiting)
    rows = sql.execute(
        f"SELECT {_FIELDS} FROM {sql.table('dead_letters')} WHERE {conditions} ORDER BY number DESC LIMIT ?",
        (*values, most),
    )
    return [_letter(row) for row in rows]


def retry(sql: JournalDatabase, stream: str, *, numbers: Sequence[int] | None) -> tuple[int, int]:
    """Puts dead letters into the queue of their stream, from which its workers answer them under their first id.

    Args:
        sql: In a transaction.
        stream: Name of the stream.
        numbers: Which ones; None for all that were not retried.

    Returns:
        retried: Number of letters that were put back.
        bodiless: Number of letters whose body was not kept.
    """
    conditions, values = _which(stream, numbers, True)
    table = sql.table("dead_letters")
    letters = [_letter(row) for row in sql.execute(f"SELECT {_FIELDS} FROM {table} WHERE {conditions}", values)]
    whole = [(letter, letter.body) for letter in letters if letter.body is not None]
    queue.put(
        sql,
        stream,
        [Output(letter.request_id, letter.key, letter.content_type, {}, body) for letter, body in whole],
    )
    for letter, _ in whole:
        sql.execute(f"UPDATE {table} SET retried = ? WHERE number = ?", (time.time(), letter.number))
    return len(whole), len(letters) - len(whole)


def drop(sql: JournalDatabase, stream: str, *, numbers: Sequence[int] | None) -> int:
    """Deletes dead letters.

    Args:
        sql: In a transaction.
        stream: Name of the stream.
        numbers: Which ones; None for all.
    """
    conditions, values = _which(stream, numbers, False)
    return len(sql.execute(f"DELETE FROM {sql.table('dead_letters')} WHERE {conditions} RETURNING 1", values))


def counts(sql: JournalDatabase) -> dict[str, int]:
    """Number of dead letters that wait, by stream.

    Args:
        sql: The database.
    """
    table = sql.table("dead_letters")
    return dict(sql.execute(f"SELECT stream, count(*) FROM {table} WHERE retried IS NULL GROUP BY stream"))  # type: ignore[arg-type]


def _which(stream: str | None, numbers: Sequence[int] | None, is_waiting: bool) -> tuple[str, tuple[Any, ...]]:
    conditions, values = ["1 = 1"], list[Any]()
    if stream is not None:
        conditions.append("stream = ?")
        values.append(stream)
    if numbers is not None:
        conditions.append(f"number IN ({', '.join('?' * len(numbers))})" if numbers else "1 = 0")
        values += [*numbers]
    if is_waiting:
        conditions.append("retried IS NULL")
    return " AND ".join(conditions), tuple(values)


def _letter(row: Sequence[Any]) -> StoredLetter:
    *fields, body = row
    names = StoredLetter.__struct_fields__[:-1]
    return StoredLetter(**dict(zip(names, fields, strict=True)), body=None if body is None else bytes(body))
