"""SqliteStore: a journal in one file that several worker processes write (WAL)."""

import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from typing_extensions import override

from lightning_app.serving.journal.errors import RefusedOutcomeError
from lightning_app.serving.journal.record import Earlier, Outcome, Prediction, same_outcome
from lightning_app.serving.journal.reward_limits import Answered, RewardLimits, check_reward
from lightning_app.serving.journal.stores.protocol import NO_LIMITS, FeedbackStatus, JournalStore
from lightning_app.serving.journal.stores.sqlite.connection import SqliteConnection
from lightning_app.serving.journal.stores.sqlite.predictions import (
    Served,
    insert_rows,
    next_number,
    rows_of,
    without_earlier,
)
from lightning_app.serving.journal.stores.sqlite.schema import NUMBERS_PER_MICROSECOND, named_errors

_ANSWERED = (
    "SELECT p.time, p.num_rows, s.model FROM predictions AS p JOIN served AS s ON s.number = p.served "
    "WHERE p.request_id = ?"
)
_PRUNED_AT_ONCE = 500


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
        self._served: dict[Served, int] = {}
        self._connection = SqliteConnection(
            path, synchronous=synchronous, create=create, timeout=timeout, on_open=self._served.clear
        )
        with named_errors(path):
            self._connection.open()

    @override
    def write(self, predictions: Sequence[Prediction], *, wait: bool = True) -> dict[str, Earlier]:
        new_served: dict[Served, int] = {}
        with self._connection.transaction(wait=wait) as connection:
            rows = rows_of(connection, predictions, self._served, new_served)
            earlier: dict[str, Earlier] = {}
            if insert_rows(connection, rows) < len(rows):
                # Rare, and so cheaper than a savepoint, which costs something each time.
                connection.execute("ROLLBACK")
                connection.execute("BEGIN IMMEDIATE")
                new_served = {}
                rows = rows_of(connection, predictions, self._served, new_served)
                earlier, rows = without_earlier(connection, predictions, rows)
                insert_rows(connection, rows)
        self._served.update(new_served)
        return earlier

    @override
    def feedback(
        self, outcomes: Sequence[Outcome], *, limits: RewardLimits = NO_LIMITS
    ) -> list[FeedbackStatus | RefusedOutcomeError]:
        results: list[FeedbackStatus | RefusedOutcomeError] = []
        with self._connection.transaction() as connection:
            for outcome in outcomes:
                try:
                    results.append(_write_outcome(connection, outcome, limits))
                except RefusedOutcomeError as refusal:
                    results.append(refusal)
        return results

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


def _write_outcome(connection: sqlite3.Connection, outcome: Outcome, limits: RewardLimits) -> FeedbackStatus:
    row = connection.execute(_ANSWERED, (outcome.request_id,)).fetchone()
    status: FeedbackStatus = "unknown"
    if row is not None:
        status = "expired" if check_reward(outcome, Answered(*row), limits) else "stored"
    id_and_row = (outcome.request_id, outcome.row)
    text = None if outcome.outcome is None else bytes(outcome.outcome).decode()
    inserted = connection.execute(
        "INSERT INTO outcomes VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (request_id, row) DO NOTHING",
        (next_number(connection, "outcomes"), *id_and_row, outcome.time, text, outcome.reward, outcome.key_id),
    ).rowcount
    if inserted:
        return status
    query = "SELECT outcome, reward FROM outcomes WHERE request_id = ? AND row = ?"
    held = connection.execute(query, id_and_row).fetchone()
    return "same" if same_outcome(held, (text, outcome.reward)) else "conflict"
