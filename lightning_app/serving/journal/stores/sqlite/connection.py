"""SqliteConnection: a connection to a journal in a file, under the lock of those who write."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning_app.serving.journal.errors import JournalBusyError
from lightning_app.serving.journal.stores.file_lock import FileLock
from lightning_app.serving.journal.stores.sqlite.schema import connect, lock_path, named_errors

_PAGE_BYTES = 4096
_WAL_BYTES = 16 * 2**20
"""Size from which writing pauses for a moment so that the WAL starts again from its beginning."""


class SqliteConnection:
    """A connection that is opened again when the file was moved away.

    Args:
        path: The file; it is made if it does not exist.
        synchronous: `normal` or `full`.
        create: Whether to make the file if it does not exist.
        timeout: Seconds to wait for a lock that another program holds.
        on_open: Called whenever a file was opened.

    Attributes:
        path: The file.
    """

    def __init__(
        self,
        path: Path,
        *,
        synchronous: str = "normal",
        create: bool = True,
        timeout: float = 5.0,
        on_open: Callable[[], object] = lambda: None,
    ) -> None:
        self.path = path
        self._synchronous, self._create, self._timeout, self._on_open = synchronous, create, timeout, on_open
        self._connection: sqlite3.Connection | None = None
        self._lock: FileLock | None = None
        self._inode = (0, 0)

    def open(self) -> sqlite3.Connection:
        """The connection to the file that has the name now.

        Raises:
            JournalError: The file cannot be opened.
            ValueError: It is no journal, or one of a newer version.
        """
        if self._connection is not None:
            try:
                found = self.path.stat()
                if (found.st_dev, found.st_ino) == self._inode:
                    return self._connection
            except FileNotFoundError:
                pass
            self.close()  # somebody has moved the file away: what is written there would be lost
        connection = connect(self.path, timeout=self._timeout, synchronous=self._synchronous, create=self._create)
        self._lock = FileLock(lock_path(self.path))
        self._connection = connection
        found = self.path.stat()
        self._inode = (found.st_dev, found.st_ino)
        self._on_open()
        return self._connection

    @contextmanager
    def transaction(self, *, wait: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction that writes; it is committed at the end, and rolled back by an exception.

        Args:
            wait: Whether to wait while another process writes.

        Raises:
            JournalBusyError: Another process writes.
            JournalRecordError: The journal can hold this at no time.
            JournalError: The journal cannot be written.
        """
        with named_errors(self.path):
            connection = self.open()
            lock = self._lock
            assert lock is not None
            if not lock.acquire(seconds=self._timeout if wait else 0.0):
                what = f"has held its lock for {self._timeout:g} s" if wait else "is writing"
                raise JournalBusyError(f"journal: {self.path}: another process {what}")
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            finally:
                lock.release()

    def tidy(self) -> None:
        """Moves what is in the WAL into the database, so that the WAL stays small.

        Raises:
            JournalError: It cannot be done now.
        """
        with named_errors(self.path):
            connection = self.open()
            _, num_frames, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if num_frames * _PAGE_BYTES > _WAL_BYTES:
                assert self._lock is not None
                if not self._lock.acquire(seconds=self._timeout):
                    return
                try:
                    connection.execute("PRAGMA busy_timeout=0")  # a reader is not waited for: the next time will do
                    connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
                finally:
                    connection.execute(f"PRAGMA busy_timeout={round(self._timeout * 1000)}")
                    self._lock.release()

    def close(self) -> None:
        """Closes the file; the next call opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None
