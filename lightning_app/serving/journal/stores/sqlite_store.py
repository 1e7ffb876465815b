"""SqliteStore: a journal in one file that several worker processes write (WAL)."""

import os
import sqlite3
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from typing_extensions import override

from lightning_app.serving.journal.record import Earlier, Outcome, Prediction, earlier_of, same_outcome
from lightning_app.serving.journal.stores.protocol import FeedbackStatus, JournalStore
from lightning_app.serving.journal.stores.sqlite_connection import SqliteConnection
from lightning_app.serving.journal.stores.sqlite_schema import JSON, NUMBERS_PER_MICROSECOND, named_errors

_COLUMNS = 17
_SIZES = (64, 32, 16, 8, 4, 2, 1)
"""Rows of one statement. A statement per row would give the GIL away, and wait for it, once per row."""
_EARLIER = (
    "SELECT p.request_id, p.body_digest, s.model, s.version, s.digest, s.arm, p.answer_type, p.answer, p.is_redacted "
    "FROM predictions AS p JOIN served AS s ON s.number = p.served WHERE p.request_id IN "
)
_PRUNED_AT_ONCE = 500

_Served = tuple[str, int | None, str, str, str | None, str | None]


class SqliteStore(JournalStore):
    """A journal in a SQLite file.

    Args:
        path: The file; it is made if it does not exist.
        synchronous: `normal` survives the death of the process, `full` also that of the machine.
        create: Whether to make the file if it does not exist.
        timeout: Seconds to wait for a lock that another program holds.

    Raises:
        JournalError: The file cannot be opened.
        ValueError: It is no journal, or one of a newer version.
    """

    def __init__(self, path: Path, *, synchronous: str = "normal", create: bool = True, timeout: float = 5.0) -> None:
        self.url = f"sqlite:///{path}"
        self._path = path
        self._served: dict[_Served, int] = {}
        self._connection = SqliteConnection(
            path, synchronous=synchronous, create=create, timeout=timeout, on_open=self._served.clear
        )
        with named_errors(path):
            self._connection.open()

    @override
    def write(self, predictions: Sequence[Prediction], *, wait: bool = True) -> dict[str, Earlier]:
        new_served: dict[_Served, int] = {}
        with self._connection.transaction(wait=wait) as connection:
            rows = [self._row(connection, prediction, new_served) for prediction in predictions]
            earlier: dict[str, Earlier] = {}
            if self._insert(connection, rows) < len(rows):
                # Rare, and so cheaper than a savepoint, which costs something each time.
                connection.execute("ROLLBACK")
                connection.execute("BEGIN IMMEDIATE")
                new_served = {}
                rows = [self._row(connection, prediction, new_served) for prediction in predictions]
                earlier, rows = _split(connection, predictions, rows)
                self._insert(connection, rows)
        self._served.update(new_served)
        return earlier

    @override
    def feedback(self, outcomes: Sequence[Outcome]) -> list[FeedbackStatus]:
        statuses: list[FeedbackStatus] = []
        with self._connection.transaction(wait=True) as connection:
            for outcome in outcomes:
                number, id_and_row = self._number(connection, "outcomes"), (outcome.request_id, outcome.row)
                text = None if outcome.outcome is None else bytes(outcome.outcome).decode()
                inserted = connection.execute(
                    "INSERT INTO outcomes VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (request_id, row) DO NOTHING",
                    (number, *id_and_row, outcome.time, text, outcome.reward, outcome.key_id),
                ).rowcount
                if inserted:
                    query = "SELECT 1 FROM predictions WHERE request_id = ?"
                    known = connection.execute(query, (outcome.request_id,)).fetchone()
                    statuses.append("stored" if known else "unknown")
                    continue
                query = "SELECT outcome, reward FROM outcomes WHERE request_id = ? AND row = ?"
                held = connection.execute(query, id_and_row).fetchone()
                statuses.append("same" if same_outcome(held, (text, outcome.reward)) else "conflict")
        return statuses

    @override
    def salt(self) -> bytes:
        with named_errors(self._path):
            salt: bytes = self._connection.open().execute("SELECT value FROM meta WHERE key = 'salt'").fetchone()[0]
        return salt

    @override
    def probe(self) -> None:
        with self._connection.transaction(wait=True) as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('probed', ?)", (os.urandom(8),))

    @override
    def prune(self, before: float) -> tuple[int, int]:
        bound = int(before * 1e6) * NUMBERS_PER_MICROSECOND
        counts = []
        for table in ("predictions", "outcomes"):
            # The oldest rows come first: without the limit, those who answer would wait for the whole of it.
            select = f"SELECT number FROM {table} WHERE number < ? ORDER BY number LIMIT {_PRUNED_AT_ONCE}"
            deleted = part = 0
            while not deleted or part == _PRUNED_AT_ONCE:
                with self._connection.transaction(wait=True) as connection:
                    part = connection.execute(f"DELETE FROM {table} WHERE number IN ({select})", (bound,)).rowcount
                deleted += part
                if not part:
                    break
                time.sleep(0.001)
            counts.append(deleted)
        return counts[0], counts[1]

    @override
    def tidy(self) -> None:
        self._connection.tidy()

    @override
    def close(self) -> None:
        self._connection.close()

    @staticmethod
    def _number(connection: sqlite3.Connection, table: str) -> int:
        """Number of the next row of a table, larger than all before, also after the clock was set back."""
        newest: int = connection.execute(f"SELECT max(number) FROM {table}").fetchone()[0] or 0
        return max(time.time_ns() // 1000 * NUMBERS_PER_MICROSECOND, newest + 1)

    def _row(
        self, connection: sqlite3.Connection, prediction: Prediction, new_served: dict[_Served, int]
    ) -> tuple[object, ...]:
        served: _Served = (
            prediction.model, prediction.version, prediction.digest, prediction.arm, prediction.key_id,
            prediction.experiment,
        )  # fmt: skip
        number = self._served.get(served) or new_served.get(served)
        if number is None:
            number = new_served[served] = _served_number(connection, served)
        content_type, answer_type = prediction.content_type, prediction.answer_type
        return (
            prediction.request_id, prediction.time, number, prediction.probability, prediction.entity,
            prediction.num_rows, prediction.latency_ms, None if content_type == JSON else content_type,
            prediction.query or None, None if answer_type == JSON else answer_type, prediction.body_digest,
            prediction.degraded, prediction.body, prediction.answer, prediction.features,
            prediction.is_redacted or None,
        )  # fmt: skip

    def _insert(self, connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> int:
        """Inserts rows; returns how many were new."""
        begin, inserted = 0, 0
        first = self._number(connection, "predictions")
        while begin < len(rows):
            size = next(size for size in _SIZES if size <= len(rows) - begin)
            values: list[object] = []
            for place in range(begin, begin + size):
                values.append(first + place)
                values.extend(rows[place])
            inserted += connection.execute(_insert_statement(size), values).rowcount
            begin += size
        return inserted


@cache
def _insert_statement(size: int) -> str:
    row = f"({', '.join('?' * _COLUMNS)})"
    return f"INSERT INTO predictions VALUES {', '.join([row] * size)} ON CONFLICT (request_id) DO NOTHING"


def _served_number(connection: sqlite3.Connection, served: _Served) -> int:
    query = (
        "SELECT number FROM served WHERE model = ? AND version IS ? AND digest = ? AND arm = ? AND key_id IS ? "
        "AND experiment IS ?"
    )
    held = connection.execute(query, served).fetchone()
    if held:
        return int(held[0])
    insert = "INSERT INTO served (model, version, digest, arm, key_id, experiment) VALUES (?, ?, ?, ?, ?, ?)"
    number = connection.execute(insert, served).lastrowid
    assert number is not None
    return number


def _split(
    connection: sqlite3.Connection, predictions: Sequence[Prediction], rows: Sequence[tuple[object, ...]]
) -> tuple[dict[str, Earlier], list[tuple[object, ...]]]:
    """What is there already, and the rows that are not."""
    earlier: dict[str, Earlier] = {}
    ids = [prediction.request_id for prediction in predictions]
    for begin in range(0, len(ids), 512):
        part = ids[begin : begin + 512]
        for held in connection.execute(f"{_EARLIER} ({', '.join('?' * len(part))})", part):
            earlier[held[0]] = Earlier(
                body_digest=held[1], model=held[2], version=held[3], digest=held[4], arm=held[5],
                answer_type=held[6] or JSON, answer=held[7], is_redacted=bool(held[8]),
            )  # fmt: skip
    new: dict[str, tuple[object, ...]] = {}
    for prediction, row in zip(predictions, rows, strict=True):
        if prediction.request_id in earlier:
            continue
        if prediction.request_id in new:
            earlier[prediction.request_id] = earlier_of(
                next(first for first in predictions if first.request_id == prediction.request_id)
            )
            continue
        new[prediction.request_id] = row
    return earlier, list(new.values())
