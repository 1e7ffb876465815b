"""Session states: state of recurrent models by key of the events, written in the transaction of the answers."""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.stream.errors import SessionChangedError

_AT_ONCE = 500


class SessionState(NamedTuple):
    """State of the stream of one key.

    Attributes:
        number: Events that it has answered; 0 for a new one.
        digest: Digest of the version that it is of.
        state: The state as bytes.
    """

    number: int
    digest: str
    state: bytes


def read(sql: JournalDatabase, stream: str, keys: Sequence[str]) -> dict[str, SessionState]:
    """States by key; new keys are missing.

    Args:
        sql: The database.
        stream: Name of the stream.
        keys: The keys.
    """
    found: dict[str, SessionState] = {}
    for begin in range(0, len(keys), _AT_ONCE):
        part = keys[begin : begin + _AT_ONCE]
        rows = sql.execute(
            f"SELECT key, number, digest, state FROM {sql.table('stream_sessions')} WHERE stream = ? "
            f"AND key IN ({', '.join('?' * len(part))})",
            (stream, *part),
        )
        found |= {key: SessionState(number, digest, bytes(state)) for key, number, digest, state in rows}
    return found


def write(
    sql: JournalDatabase,
    stream: str,
    states: Mapping[str, tuple[int, int, bytes]],
    *,
    digest: str,
    version: int | None,
) -> None:
    """Writes states.

    Args:
        sql: In the transaction of the answers.
        stream: Name of the stream.
        states: By key: number of events when it was read, number now, state now.
        digest: Digest of the version that answered.
        version: This version.

    Raises:
        SessionChangedError: Another worker has written one of them since it was read.
    """
    table, now = sql.table("stream_sessions"), time.time()
    insert = (
        f"INSERT INTO {table} (stream, key, digest, version, number, state, used) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (stream, key) DO NOTHING RETURNING 1"
    )
    update = (
        f"UPDATE {table} SET digest = ?, version = ?, number = ?, state = ?, used = ? "
        "WHERE stream = ? AND key = ? AND number = ? RETURNING 1"
    )
    for key, (before, number, state) in states.items():
        if before:
            done = sql.execute(update, (digest, version, number, state, now, stream, key, before))
        else:
            done = sql.execute(insert, (stream, key, digest, version, number, state, now))
        if not done:
            raise SessionChangedError
