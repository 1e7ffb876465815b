"""PostgreSQL store: two tables, one row per view and entity; a view is written in one transaction."""

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict

from features.store.errors import StoreError, without_password
from features.store.protocol import Row, Stored

_LOCK = 7_021_604_113
"""Number of the lock under which the tables are made."""
_TABLES = """
CREATE TABLE IF NOT EXISTS lightning_app_views (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, namespace text NOT NULL, view text NOT NULL, mark text,
  UNIQUE (namespace, view)
);
CREATE TABLE IF NOT EXISTS lightning_app_entities (
  view bigint NOT NULL, key text COLLATE "C" NOT NULL, payload bytea NOT NULL, fingerprint bigint NOT NULL,
  PRIMARY KEY (key, view)
);
"""
_NUMBER = "SELECT number FROM lightning_app_views WHERE namespace = %s AND view = %s"
_SELECT = (
    f"SELECT key, payload FROM lightning_app_entities WHERE view = ({_NUMBER}) AND key = ANY(%s) "
    "UNION ALL SELECT NULL, convert_to(mark, 'UTF8') FROM lightning_app_views WHERE namespace = %s AND view = %s"
)


class PostgresStore:
    """A store in a data base of a PostgreSQL server.

    Args:
        url: Its address.
        timeout: Seconds after which a server that does not answer is given up.
        lock_timeout: Seconds that a writer waits for another one.

    Raises:
        ValueError: The address is malformed.
        StoreError: The server cannot be reached, or the tables cannot be made.
    """

    def __init__(self, url: str, *, timeout: float = 5.0, lock_timeout: float = 60.0) -> None:
        self.url = without_password(url)
        self._address, self._timeout, self._lock_timeout = url, timeout, lock_timeout
        self._thread = threading.local()
        self._connections: list[psycopg.Connection] = []
        try:
            conninfo_to_dict(url)
        except psycopg.ProgrammingError as error:
            raise ValueError(f"store: {self.url} is malformed: {str(error).strip()}") from error
        with self._named(), self._connect() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            if connection.execute("SELECT to_regclass('lightning_app_entities')").fetchone() == (None,):
                connection.execute(_TABLES)

    def read(self, namespace: str, view: str, keys: Sequence[str]) -> Stored:
        """See `OnlineStore.read`."""
        parameters = (namespace, view, list(keys), namespace, view)
        with self._named():
            try:
                rows = self._connection().execute(_SELECT, parameters, binary=True).fetchall()
            except psycopg.OperationalError:
                if not self._connection().closed:
                    raise
                self._thread.process = None  # the server was restarted, or has closed an idle connection
                rows = self._connection().execute(_SELECT, parameters, binary=True).fetchall()
        found: dict[str | None, bytes] = dict(rows)
        mark = found.pop(None, None)
        return Stored(None if mark is None else mark.decode(), [found.get(key) for key in keys])

    def marks(self, namespace: str) -> dict[str, str]:
        """See `OnlineStore.marks`."""
        query = "SELECT view, mark FROM lightning_app_views WHERE namespace = %s AND mark IS NOT NULL ORDER BY view"
        with self._named():
            return dict(self._connection().execute(query, (namespace,)).fetchall())

    @contextmanager
    def writing(self, namespace: str, view: str) -> Iterator["_PostgresWriter"]:
        """See `OnlineStore.writing`."""
        insert = "INSERT INTO lightning_app_views (namespace, view) VALUES (%s, %s) ON CONFLICT DO NOTHING"
        with self._named(), self._connect() as connection:
            connection.execute(
                "SELECT set_config('lock_timeout', %s, false)", (f"{round(self._lock_timeout * 1000)}ms",)
            )
            connection.execute("SET statement_timeout = 0")
            with connection.transaction():
                connection.execute(insert, (namespace, view))
                query = "SELECT number, mark FROM lightning_app_views WHERE namespace = %s AND view = %s FOR UPDATE"
                row = connection.execute(query, (namespace, view)).fetchone()
                assert row is not None
                yield _PostgresWriter(connection, *row)

    def close(self) -> None:
        """Closes the connections of all threads."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        self._thread = threading.local()

    def _connection(self) -> psycopg.Connection:
        # A connection must not be carried over a fork.
        if getattr(self._thread, "process", None) != os.getpid():
            self._thread.connection, self._thread.process = self._connect(), os.getpid()
            self._connections.append(self._thread.connection)
        connection: psycopg.Connection = self._thread.connection
        return connection

    def _connect(self) -> psycopg.Connection:
        milliseconds = round(self._timeout * 1000)
        return psycopg.connect(
            self._address,
            autocommit=True,
            connect_timeout=max(2, round(self._timeout)),  # libpq takes whole seconds, at least 2
            tcp_user_timeout=milliseconds,
            options=f"-c statement_timeout={milliseconds} -c random_page_cost=1.1",  # rows are looked up by key
        )

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except psycopg.errors.LockNotAvailable as error:
            raise StoreError(
                f"store: {self.url}: another process has been writing for {self._lock_timeout:g} s; try again when it "
                "is done"
            ) from error
        except psycopg.Error as error:
            raise StoreError(f"store: {self.url}: {' '.join(str(error).split())}") from error


class _PostgresWriter:
    """Writer of a view in one transaction."""

    def __init__(self, connection: psycopg.Connection, number: int, mark: str | None) -> None:
        self.mark = mark
        self._connection = connection
        self._number = number

    def fingerprints(self) -> dict[str, int]:
        query = "SELECT key, fingerprint FROM lightning_app_entities WHERE view = %s"
        return dict(self._connection.execute(query, (self._number,)).fetchall())

    def put(self, rows: Iterable[Row]) -> None:
        columns = "(key text, payload bytea, fingerprint bigint)"
        self._connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS incoming {columns} ON COMMIT DROP")
        with self._connection.cursor() as cursor:
            with cursor.copy("COPY incoming (key, payload, fingerprint) FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["text", "bytea", "int8"])
                for row in rows:
                    copy.write_row(row)
            cursor.execute(
                "INSERT INTO lightning_app_entities (view, key, payload, fingerprint) "
                "SELECT %s, key, payload, fingerprint FROM incoming ON CONFLICT (key, view) "
                "DO UPDATE SET payload = EXCLUDED.payload, fingerprint = EXCLUDED.fingerprint",
                (self._number,),
            )
            cursor.execute("TRUNCATE incoming")

    def delete(self, keys: Iterable[str]) -> None:
        query = "DELETE FROM lightning_app_entities WHERE view = %s AND key = ANY(%s)"
        self._connection.execute(query, (self._number, list(keys)))

    def clear(self) -> None:
        self._connection.execute("DELETE FROM lightning_app_entities WHERE view = %s", (self._number,))

    def finish(self, mark: str) -> None:
        self._connection.execute("UPDATE lightning_app_views SET mark = %s WHERE number = %s", (mark, self._number))
        # Without statistics the planner reads all rows of a view for a hundred keys.
        self._connection.execute("ANALYZE lightning_app_entities")
