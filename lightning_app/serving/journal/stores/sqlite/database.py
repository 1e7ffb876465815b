"""SqliteDatabase: SQL on the file of a journal."""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typing_extensions import override

from lightning_app.serving.journal.errors import JournalIdError
from lightning_app.serving.journal.record import Earlier, Prediction
from lightning_app.serving.journal.stores.added_tables import SQLITE
from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.journal.stores.sqlite.connection import SqliteConnection
from lightning_app.serving.journal.stores.sqlite.predictions import Served, insert_rows, read_earlier, rows_of
from lightning_app.serving.journal.stores.sqlite.schema import (
    CLOCK_SECONDS,
    JSON,
    NUMBERS_PER_MICROSECOND,
    named_errors,
)


class SqliteDatabase(JournalDatabase):
    """The database of a journal in a file.

    Args:
        path: The file.
        create: Whether to make it if it does not exist.
        synchronous: `normal` or `full`.

    Raises:
        JournalError: The file cannot be opened.
        ValueError: It is no journal, or one of a newer version.
    """

    answered = (
        "(SELECT p.number, p.request_id, p.time, s.model, s.version, s.digest, s.experiment, s.arm, p.probability, "
        f"p.entity, p.num_rows, p.latency_ms, coalesce(p.content_type, '{JSON}') AS content_type, p.body, "
        f"coalesce(p.query, '') AS query, coalesce(p.answer_type, '{JSON}') AS answer_type, p.answer, p.features, "
        "p.body_digest, s.key_id, p.degraded, p.is_redacted FROM predictions AS p JOIN served AS s "
        "ON s.number = p.served)"
    )

    skip_locked = ""
    dialect = SQLITE
    facts = "meta"

    def __init__(self, path: Path, *, create: bool = True, synchronous: str = "normal") -> None:
        self.url = f"sqlite:///{path}"
        self._connection = SqliteConnection(path, create=create, synchronous=synchronous)
        self._writing: sqlite3.Connection | None = None
        with named_errors(path):
            self._connection.open()

    @override
    def table(self, name: str) -> str:
        return name

    @override
    @contextmanager
    def transaction(self) -> Iterator[None]:
        assert self._writing is None, "transactions are not nested"
        with self._connection.transaction() as self._writing:
            try:
                yield
            finally:
                self._writing = None

    @override
    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with named_errors(self._connection.path):
            if self._writing is not None:
                return self._writing.execute(statement, values).fetchall()
            cursor = self._connection.open().execute(statement, values)
            assert cursor.rowcount < 0, "outside of a transaction a statement only reads"
            return cursor.fetchall()

    @override
    def stream(
        self, statement: str, values: Sequence[Any] = (), *, at_once: int = 10_000
    ) -> Iterator[list[tuple[Any, ...]]]:
        with named_errors(self._connection.path):
            cursor = self._connection.open().execute(statement, values)
            assert cursor.rowcount < 0, "a stream only reads"
            try:
                while rows := cursor.fetchmany(at_once):
                    yield rows
            finally:
                cursor.close()

    @override
    def execute_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        assert self._writing is not None, "many rows are written within a transaction"
        with named_errors(self._connection.path):
            self._writing.executemany(statement, rows)

    @override
    def insert(self, predictions: Sequence[Prediction]) -> None:
        assert self._writing is not None, "predictions are written within a transaction"
        with named_errors(self._connection.path):
            new: dict[Served, int] = {}
            rows = rows_of(self._writing, predictions, {}, new)
            if insert_rows(self._writing, rows) < len(rows):
                raise JournalIdError(f"journal: {self._connection.path} holds an id already")

    @override
    def earlier(self, request_ids: Sequence[str]) -> dict[str, Earlier]:
        with named_errors(self._connection.path):
            return read_earlier(self._writing or self._connection.open(), request_ids)

    @override
    def now(self) -> float:
        return time.time()  # all who share a file are on one machine

    @override
    def settled(self, name: str) -> int:
        # Numbers are given under the lock of those who write, which is held until the commit.
        ((newest,),) = self.execute(f"SELECT max(number) FROM {name}")
        return newest or 0

    @override
    def first_number(self, name: str, *, since: float) -> int:
        return int((since - CLOCK_SECONDS) * 1e6) * NUMBERS_PER_MICROSECOND

    @override
    def close(self) -> None:
        self._connection.close()
