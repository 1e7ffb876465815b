"""Queue table: events in the database of the journal, claimed with a lease and deleted with their answer."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.stream.event import Event, Output, key_text

SUSPECT = 3
"""An event that was claimed so often before comes alone: one that ends the process takes no others with it."""
_AT_ONCE = 500


def put(sql: JournalDatabase, stream: str, outputs: Sequence[Output]) -> None:
    """Puts messages into a queue.

    Args:
        sql: In a transaction.
        stream: Name of the queue.
        outputs: The messages.
    """
    insert = (
        f"INSERT INTO {sql.table('stream_queue')} (stream, body, content_type, key, request_id, headers, put) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)"
    )
    now = time.time()
    headers = (msgspec.json.encode(one.headers).decode() if one.headers else None for one in outputs)
    sql.execute_many(
        insert,
        [
            (stream, one.body, one.content_type, one.key, one.request_id or None, head, now)
            for one, head in zip(outputs, headers, strict=True)
        ],
    )


def claim(sql: JournalDatabase, stream: str, *, holder: str, most: int, seconds: float) -> list[Event]:
    """Takes events for a while; events of a worker that has died come back when its lease is over.

    Args:
        sql: In a transaction.
        stream: Name of the queue.
        holder: The worker.
        most: Most events.
        seconds: How long they are this worker's.
    """
    rows = _claimed(sql, stream, holder, most, seconds, f"attempts < {SUSPECT}")
    if not rows:
        rows = _claimed(sql, stream, holder, 1, seconds, f"attempts >= {SUSPECT}")
    arrived = time.perf_counter()
    return [
        Event(
            request_id=request_id or f"{stream}:{number}",
            partition="",
            position=str(number),
            key=key_text(key),
            content_type=content_type,
            body=body.encode() if isinstance(body, str) else bytes(body),
            time=written or 0.0,
            arrived=arrived,
            attempts=attempts,
        )
        for number, body, content_type, key, request_id, written, attempts in sorted(rows, key=lambda row: row[0])
    ]


def _claimed(
    sql: JournalDatabase, stream: str, holder: str, most: int, seconds: float, which: str
) -> list[tuple[Any, ...]]:
    table, now = sql.table("stream_queue"), time.time()
    return sql.execute(
        f"UPDATE {table} SET holder = ?, lease_until = ?, attempts = attempts + 1 WHERE number IN ("
        f"SELECT number FROM {table} WHERE stream = ? AND lease_until < ? AND {which} ORDER BY number LIMIT ?"
        f"{sql.skip_locked}) RETURNING number, body, content_type, key, request_id, put, attempts",
        (holder, now + seconds, stream, now, most),
    )


def waits(sql: JournalDatabase, stream: str) -> bool:
    """Whether there is an event that nobody has claimed.

    Args:
        sql: The database.
        stream: Name of the queue.
    """
    query = f"SELECT 1 FROM {sql.table('stream_queue')} WHERE stream = ? AND lease_until < ? LIMIT 1"
    return bool(sql.execute(query, (stream, time.time())))


def delete(sql: JournalDatabase, numbers: Sequence[int], *, holder: str) -> set[int]:
    """Deletes events of a worker.

    Args:
        sql: In the transaction of their answers.
        numbers: The events.
        holder: The worker.

    Returns:
        The events that were still this worker's.
    """
    deleted: set[int] = set()
    for begin in range(0, len(numbers), _AT_ONCE):
        part = numbers[begin : begin + _AT_ONCE]
        rows = sql.execute(
            f"DELETE FROM {sql.table('stream_queue')} WHERE number IN ({', '.join('?' * len(part))}) AND holder = ? "
            "RETURNING number",
            (*part, holder),
        )
        deleted.update(number for (number,) in rows)
    return deleted


def prolong(sql: JournalDatabase, stream: str, *, holder: str, seconds: float) -> None:
    """Keeps the events of a worker for longer.

    Args:
        sql: In a transaction.
        stream: Name of the queue.
        holder: The worker.
        seconds: For how long from now.
    """
    query = f"UPDATE {sql.table('stream_queue')} SET lease_until = ? WHERE stream = ? AND holder = ?"
    sql.execute(query, (time.time() + seconds, stream, holder))


def release(sql: JournalDatabase, stream: str, *, holder: str) -> None:
    """Gives back the events of a worker that ends in order; it is not held against them.

    Args:
        sql: In a transaction.
        stream: Name of the queue.
        holder: The worker.
    """
    sql.execute(
        f"UPDATE {sql.table('stream_queue')} SET holder = NULL, lease_until = 0, attempts = attempts - 1 "
        "WHERE stream = ? AND holder = ?",
        (stream, holder),
    )


def sizes(sql: JournalDatabase) -> dict[str, int]:
    """Number of events by queue.

    Args:
        sql: The database.
    """
    rows = sql.execute(f"SELECT stream, count(*) FROM {sql.table('stream_queue')} GROUP BY stream ORDER BY stream")
    return dict(rows)  # type: ignore[arg-type]
