"""PostgresDatabase: SQL on the database of a journal in PostgreSQL."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import psycopg
from psycopg.errors import UniqueViolation
from psycopg.pq import TransactionStatus
from typing_extensions import override

from lightning_app.serving.journal.errors import JournalIdError
from lightning_app.serving.journal.record import Earlier, Prediction
from lightning_app.serving.journal.stores.added_tables import POSTGRES
from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.journal.stores.postgres.connection import PostgresConnection
from lightning_app.serving.journal.stores.postgres.predictions import copy_predictions, read_earlier
from lightning_app.serving.journal.stores.postgres.schema import named_errors

_NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"
_OVERLAP_SECONDS = 60.0
"""By how much the order of numbers may differ from that of the beginnings of transactions."""
_NEWEST = "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence(?, 'number')::regclass), 0)"
_WRITERS = (
    "SELECT virtualtransaction FROM pg_locks WHERE relation = %s::regclass AND mode = 'RowExclusiveLock' "
    "AND virtualtransaction IS NOT NULL"
)


class PostgresDatabase(JournalDatabase):
    """The database of a journal in PostgreSQL.

    Args:
        url: Address of the database.
        create: Whether to make the tables if they do not exist.

    Raises:
        JournalError: The server cannot be reached.
        ValueError: The address is malformed, or the journal is of a newer version.
    """

    skip_locked = " FOR UPDATE SKIP LOCKED"
    dialect = POSTGRES
    facts = "lightning_app_journal"

    def __init__(self, url: str, *, create: bool = True) -> None:
        self._connection = PostgresConnection(url, create=create)
        self.url = self._connection.url
        self.answered = self.table("predictions")
        self._writing: psycopg.Connection | None = None
        self._settled: dict[str, int] = {}
        self._barriers: dict[str, tuple[int, set[str]]] = {}
        self._connection.open()

    @override
    def table(self, name: str) -> str:
        return POSTGRES.prefix + name

    @override
    @contextmanager
    def transaction(self) -> Iterator[None]:
        assert self._writing is None, "transactions are not nested"
        self._connection.again_if_cut(lambda connection: connection.execute("BEGIN"))
        connection = self._writing = self._connection.open()
        with named_errors(self.url):
            try:
                yield
                connection.execute("COMMIT")
            except BaseException:
                if not connection.closed and connection.info.transaction_status != TransactionStatus.IDLE:
                    connection.execute("ROLLBACK")
                raise
            finally:
                self._writing = None

    @override
    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        query = _with_percents(statement)

        def work(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
            cursor = connection.execute(query, values)  # type: ignore[arg-type]
            return [] if cursor.description is None else cursor.fetchall()

        if self._writing is None:
            return self._connection.again_if_cut(work)
        with named_errors(self.url):
            return work(self._writing)

    @override
    def stream(
        self, statement: str, values: Sequence[Any] = (), *, at_once: int = 10_000
    ) -> Iterator[list[tuple[Any, ...]]]:
        connection = self._connection.again_if_cut(lambda connection: connection.execute("SELECT 1").connection)
        with named_errors(self.url), connection.transaction():
            connection.execute("SET LOCAL statement_timeout = 0")
            with connection.cursor("stream") as cursor:
                cursor.itersize = at_once
                cursor.execute(_with_percents(statement), values)  # type: ignore[arg-type]
                while rows := cursor.fetchmany(at_once):
                    yield rows

    @override
    def execute_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        assert self._writing is not None, "many rows are written within a transaction"
        with named_errors(self.url), self._writing.cursor() as cursor:
            cursor.executemany(_with_percents(statement), rows)  # type: ignore[arg-type]

    @override
    def insert(self, predictions: Sequence[Prediction]) -> None:
        assert self._writing is not None, "predictions are written within a transaction"
        with named_errors(self.url):
            try:
                copy_predictions(self._writing, predictions)
            except UniqueViolation as error:
                raise JournalIdError(f"journal: {self.url} holds an id already") from error

    @override
    def earlier(self, request_ids: Sequence[str]) -> dict[str, Earlier]:
        if self._writing is None:
            return self._connection.again_if_cut(lambda connection: read_earlier(connection, request_ids))
        with named_errors(self.url):
            return read_earlier(self._writing, request_ids)

    @override
    def now(self) -> float:
        ((now,),) = self.execute(_NOW)
        return float(now)

    @override
    def settled(self, name: str) -> int:
        # A number is given to who holds the table's lock, until after its commit. When all who held it after the
        # newest number was read hold it no more, every number up to that one is visible or was rolled back.
        table = self.table(name)
        if name in self._barriers:
            self._settle(name, self._writers(table))
        if name not in self._barriers:
            ((newest,),) = self.execute(_NEWEST, (table,))
            writers = self._writers(table)
            self._barriers[name] = newest, writers
            self._settle(name, writers)
        return self._settled.get(name, 0)

    @override
    def first_number(self, name: str, *, since: float) -> int:
        # `number` is nearly in the order of `written`, and has an index: `written` needs none.
        table = self.table(name)
        query = f"SELECT extract(epoch FROM written)::float8 FROM {table} WHERE number >= ? ORDER BY number LIMIT 1"
        ((low, high),) = self.execute(f"SELECT coalesce(min(number), 0), coalesce(max(number), 0) + 1 FROM {table}")
        while low < high:
            middle = (low + high) // 2
            rows = self.execute(query, (middle,))  # none while the table is empty
            if rows and rows[0][0] < since - _OVERLAP_SECONDS:
                low = middle + 1
            else:
                high = middle
        return int(low)

    @override
    def close(self) -> None:
        self._connection.close()

    def _writers(self, table: str) -> set[str]:
        rows = self._connection.again_if_cut(lambda connection: connection.execute(_WRITERS, (table,)).fetchall())
        return {row[0] for row in rows}

    def _settle(self, name: str, writers: set[str]) -> None:
        newest, awaited = self._barriers[name]
        if awaited.isdisjoint(writers):
            self._settled[name] = newest
            del self._barriers[name]


@cache
def _with_percents(statement: str) -> str:
    return statement.replace("%", "%%").replace("?", "%s")
