"""Offsets of partitions: how far a stream is answered, and who may go on; the fence keeps others from committing."""

import time
from collections.abc import Mapping
from typing import NamedTuple

from lightning_app.serving.journal.stores.database import JournalDatabase


class Claim(NamedTuple):
    """A partition that belongs to a worker.

    Attributes:
        next_offset: First offset that is not answered; None if the partition is new.
        fence: Number that only this worker's commits carry.
        crashes: How often a worker has died in a row without getting any further.
    """

    next_offset: int | None
    fence: int
    crashes: int


def claim(sql: JournalDatabase, stream: str, partition: str, holder: str) -> Claim:
    """Takes a partition: from now on, nobody who had it before can commit.

    Args:
        sql: In a transaction.
        stream: Name of the stream.
        partition: The partition.
        holder: The worker.
    """
    table = sql.table("stream_offsets")
    rows = sql.execute(
        f"SELECT next_offset, fence, holder, claimed_offset, crashes FROM {table} WHERE stream = ? AND partition = ?",
        (stream, partition),
    )
    if not rows:
        sql.execute(f"INSERT INTO {table} VALUES (?, ?, -1, 1, ?, -1, 0, ?)", (stream, partition, holder, time.time()))
        return Claim(None, 1, 0)
    next_offset, fence, before, claimed, crashes = rows[0]
    crashes = crashes + 1 if before is not None and claimed == next_offset else 0
    sql.execute(
        f"UPDATE {table} SET fence = ?, holder = ?, claimed_offset = next_offset, crashes = ?, updated = ? "
        "WHERE stream = ? AND partition = ?",
        (fence + 1, holder, crashes, time.time(), stream, partition),
    )
    return Claim(None if next_offset < 0 else next_offset, fence + 1, crashes)


def advance(sql: JournalDatabase, stream: str, offsets: Mapping[str, tuple[int, int]]) -> list[str]:
    """Writes how far partitions are answered.

    Args:
        sql: In the transaction of the answers.
        stream: Name of the stream.
        offsets: Next offset and fence by partition.

    Returns:
        Partitions that belong to another worker by now, and are not advanced.
    """
    query = (
        f"UPDATE {sql.table('stream_offsets')} SET next_offset = ?, updated = ? "
        "WHERE stream = ? AND partition = ? AND fence = ? RETURNING 1"
    )
    now = time.time()
    return [
        partition
        for partition, (offset, fence) in offsets.items()
        if not sql.execute(query, (offset, now, stream, partition, fence))
    ]


def release(sql: JournalDatabase, stream: str, fences: Mapping[str, int]) -> None:
    """Says that partitions were given back in order: who takes them next need not suspect an event.

    Args:
        sql: In a transaction.
        stream: Name of the stream.
        fences: Fence by partition.
    """
    for partition, fence in fences.items():
        sql.execute(
            f"UPDATE {sql.table('stream_offsets')} SET holder = NULL WHERE stream = ? AND partition = ? AND fence = ?",
            (stream, partition, fence),
        )


class Position(NamedTuple):
    """A partition as it is listed.

    Attributes:
        stream: Name of the stream.
        partition: The partition.
        next_offset: First offset that is not answered; -1 as long as none was.
        holder: The worker; None if nobody has it.
        updated: When that was written, Unix seconds.
    """

    stream: str
    partition: str
    next_offset: int
    holder: str | None
    updated: float


def listed(sql: JournalDatabase) -> list[Position]:
    """All partitions.

    Args:
        sql: The database.
    """
    fields = ", ".join(Position._fields)
    rows = sql.execute(f"SELECT {fields} FROM {sql.table('stream_offsets')} ORDER BY stream, partition")
    return [Position(*row) for row in rows]
