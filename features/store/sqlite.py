"""SQLite store: one file, one row per view and entity; readers are never blocked by the writer (WAL)."""

import errno
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from features.store.errors import StoreError
from features.store.protocol import Row, Stored

_FORMAT = 1
_MOST_PARAMETERS = 1000
_CACHE_KIB = 65_536
_TABLES = """
CREATE TABLE IF NOT EXISTS views (
  namespace TEXT NOT NULL, view TEXT NOT NULL, number INTEGER PRIMARY KEY, mark TEXT, UNIQUE (namespace, view)
);
CREATE TABLE IF NOT EXISTS entities (
  view INTEGER NOT NULL, key TEXT NOT NULL, fingerprint INTEGER NOT NULL, payload BLOB NOT NULL, PRIMARY KEY (view, key)
) WITHOUT ROWID;
"""


class SqliteStore:
    """A store in a file.

    Args:
        path: The file; it is made if it does not exist.
        lock_timeout: Seconds that a writer waits for another one.

    Raises:
        StoreError: The file cannot be opened or made, or is no store.
    """

    def __init__(self, path: Path, *, lock_timeout: float = 60.0) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"
        self._lock_timeout = lock_timeout
        self._thread = threading.local()
        self._connections: list[sqlite3.Connection] = []
        with self._named():
            connection = self._connection()
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if found > _FORMAT:
            raise StoreError(f"store: {self.url} is of format {found}; this version reads up to {_FORMAT}: update it")
        if found < _FORMAT and tables:
            raise StoreError(f"store: {self.url} is a data base of something else; give a file of its own")
        if found < _FORMAT:
            with self._named():
                connection.execute("PRAGMA journal_mode=WAL")
                connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version={_FORMAT}; COMMIT;")

    def read(self, namespace: str, view: str, keys: Sequence[str]) -> Stored:
        """See `OnlineStore.read`."""
        found: dict[str, bytes] = {}
        mark: str | None = None
        with self._named():
            connection = self._connection()
            for begin in range(0, max(len(keys), 1), _MOST_PARAMETERS):
                part = keys[begin : begin + _MOST_PARAMETERS]
                rows = connection.execute(_select(len(part)), (namespace, view, *part, namespace, view)).fetchall()
                if rows and rows[-1][0] is None:  # of several parts the last one tells the mark
                    mark = rows.pop()[1]
                found.update(rows)
        return Stored(mark, [found.get(key) for key in keys])

    def marks(self, namespace: str) -> dict[str, str]:
        """See `OnlineStore.marks`."""
        with self._named():
            query = "SELECT view, mark FROM views WHERE namespace = ? AND mark IS NOT NULL ORDER BY view"
            return dict(self._connection().execute(query, (namespace,)).fetchall())

    @contextmanager
    def writing(self, namespace: str, view: str) -> Iterator["_SqliteWriter"]:
        """See `OnlineStore.writing`."""
        with self._named(), closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT OR IGNORE INTO views (namespace, view) VALUES (?, ?)", (namespace, view))
            query = "SELECT number, mark FROM views WHERE namespace = ? AND view = ?"
            number, mark = connection.execute(query, (namespace, view)).fetchone()
            yield _SqliteWriter(connection, number, mark)
            connection.execute("COMMIT")  # a block that raises is rolled back as the connection closes

    def close(self) -> None:
        """Closes the connections of all threads."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        self._thread = threading.local()

    def _connection(self) -> sqlite3.Connection:
        # A connection must not be carried over a fork.
        if getattr(self._thread, "process", None) != os.getpid():
            self._thread.connection, self._thread.process = self._connect(), os.getpid()
            self._connections.append(self._thread.connection)
        connection: sqlite3.Connection = self._thread.connection
        return connection

    def _connect(self) -> sqlite3.Connection:
        if not self.path.parent.is_dir():
            raise StoreError(f"store: {self.url}: folder {self.path.parent} does not exist")
        connection = sqlite3.connect(
            self.path, timeout=self._lock_timeout, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        return connection

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            text = str(error)
            if "full" in text:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path)) from error
            if "locked" in text or "busy" in text:
                text = f"another process has been writing for {self._lock_timeout:g} s; try again when it is done"
            raise StoreError(f"store: {self.url}: {text}") from error


class _SqliteWriter:
    """Writer of a view in one transaction."""

    def __init__(self, connection: sqlite3.Connection, number: int, mark: str | None) -> None:
        self.mark = mark
        self._connection = connection
        self._number = number

    def fingerprints(self) -> dict[str, int]:
        query = "SELECT key, fingerprint FROM entities WHERE view = ?"
        return dict(self._connection.execute(query, (self._number,)).fetchall())

    def put(self, rows: Iterable[Row]) -> None:
        query = "INSERT OR REPLACE INTO entities (view, key, payload, fingerprint) VALUES (?, ?, ?, ?)"
        self._connection.executemany(query, ((self._number, *row) for row in rows))

    def delete(self, keys: Iterable[str]) -> None:
        query = "DELETE FROM entities WHERE view = ? AND key = ?"
        self._connection.executemany(query, ((self._number, key) for key in keys))

    def clear(self) -> None:
        self._connection.execute("DELETE FROM entities WHERE view = ?", (self._number,))

    def finish(self, mark: str) -> None:
        self._connection.execute("UPDATE views SET mark = ? WHERE number = ?", (mark, self._number))


def _select(count: int) -> str:
    """Rows of keys, then (null, mark): one statement sees one state of the file."""
    one = "(SELECT number FROM views WHERE namespace = ? AND view = ?)"
    mark = "SELECT NULL, mark FROM views WHERE namespace = ? AND view = ?"
    return f"SELECT key, payload FROM entities WHERE view = {one} AND key IN ({','.join('?' * count)}) UNION ALL {mark}"
