"""Schema of the journal in SQLite, its connections, and its errors."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from lightning_app.serving.journal.errors import (
    JournalAccessError,
    JournalBusyError,
    JournalError,
    JournalRecordError,
)
from lightning_app.serving.journal.stores.added_tables import SQLITE, added_tables
from lightning_app.serving.journal.stores.file_lock import FileLock

FORMAT = 2
APPLICATION_ID = 0x4C41504A
"""`LAPJ`: tells a journal from another SQLite file."""
JSON = "application/json"
_OPEN_SECONDS = 5.0
"""Who closes the file last holds it for a moment, in which it cannot be opened."""
NUMBERS_PER_MICROSECOND = 1024
"""`number` of a row is the time of its commit in microseconds times this: the table is in the order of time, and needs
no index on it, which would cost a third of all writing."""
CLOCK_SECONDS = 3600.0
"""By how much a clock may have been set back between the arrival of a request and its commit."""

# What many rows share is written once, in `served`. NULL stands for JSON as content type, for an empty
# query, and for what is not redacted.
_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE served (
  number INTEGER PRIMARY KEY, model TEXT NOT NULL, version INTEGER, digest TEXT NOT NULL, arm TEXT NOT NULL,
  key_id TEXT, experiment TEXT
);
CREATE TABLE predictions (
  number INTEGER PRIMARY KEY, request_id TEXT NOT NULL UNIQUE, time REAL NOT NULL, served INTEGER NOT NULL,
  probability REAL NOT NULL, entity TEXT, num_rows INTEGER NOT NULL, latency_ms REAL NOT NULL, content_type TEXT,
  query TEXT, answer_type TEXT, body_digest BLOB NOT NULL, degraded TEXT, body BLOB NOT NULL, answer BLOB NOT NULL,
  features BLOB, is_redacted INTEGER
);
CREATE TABLE outcomes (
  number INTEGER PRIMARY KEY, request_id TEXT NOT NULL, row INTEGER NOT NULL, time REAL NOT NULL, outcome TEXT,
  reward REAL, key_id TEXT, UNIQUE (request_id, row)
);
"""
# `subsec` of `datetime` needs SQLite 3.42.
_VIEW = f"""
CREATE VIEW journal AS SELECT
  p.request_id, strftime('%Y-%m-%d %H:%M:%f', p.time, 'unixepoch') AS time, s.model, s.version, s.digest, s.experiment,
  s.arm, p.probability, p.entity, p.num_rows, p.latency_ms, coalesce(p.content_type, '{JSON}') AS content_type,
  CASE WHEN p.content_type IS NULL THEN CAST(p.body AS TEXT) ELSE p.body END AS body, coalesce(p.query, '') AS query,
  coalesce(p.answer_type, '{JSON}') AS answer_type,
  CASE WHEN p.answer_type IS NULL THEN CAST(p.answer AS TEXT) ELSE p.answer END AS answer, s.key_id, p.degraded
FROM predictions AS p JOIN served AS s ON s.number = p.served;
"""
_FROM_FORMAT_1 = f"""
ALTER TABLE served ADD COLUMN experiment TEXT;
DROP VIEW journal;
{_VIEW}
{added_tables(SQLITE)}
"""


def connect(
    path: Path, *, timeout: float, synchronous: str = "normal", create: bool = True, upgrade: bool = True
) -> sqlite3.Connection:
    """Opens a journal; makes its tables if there are none, and those that an earlier format lacks.

    Args:
        path: The file.
        timeout: Seconds to wait for a lock that another program holds.
        synchronous: `normal` or `full`.
        create: Whether to make the file if it does not exist.
        upgrade: Whether to upgrade a journal of an earlier format; without, it is read as it is.

    Raises:
        JournalError: The file cannot be opened.
        ValueError: It is no journal, or one of a newer version.
    """
    if not path.parent.is_dir():
        raise ValueError(f"journal: {path}: folder {path.parent} does not exist")
    if not create and not path.exists():
        raise ValueError(f"journal: {path} does not exist")
    with named_errors(path):
        if not path.exists():
            # What was asked is nobody else's business; the WAL takes the same permissions.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(path, timeout=_OPEN_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            if format_of(connection) == 0:
                _make_tables(path, connection)
            _check(path, connection)
            if upgrade and format_of(connection) < FORMAT:
                _upgrade(path, connection)
            connection.execute(f"PRAGMA synchronous={synchronous}")
            connection.execute("PRAGMA wal_autocheckpoint=0")  # Maintenance does that
            connection.execute("PRAGMA cache_size=-8192")
            connection.execute(f"PRAGMA busy_timeout={round(timeout * 1000)}")
        except BaseException:
            connection.close()
            raise
    return connection


def format_of(connection: sqlite3.Connection) -> int:
    """Format of a journal; 0 of a file without tables."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _make_tables(path: Path, connection: sqlite3.Connection) -> None:
    with _locked(path):
        if format_of(connection) or connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return
        connection.execute("PRAGMA journal_mode=WAL")
        pragmas = f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={FORMAT};"
        connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} {_VIEW} {added_tables(SQLITE)} {pragmas}")
        connection.execute("INSERT INTO meta VALUES ('salt', ?)", (os.urandom(32),))
        connection.execute("COMMIT")


def _upgrade(path: Path, connection: sqlite3.Connection) -> None:
    with _locked(path):
        if format_of(connection) == FORMAT:
            return  # another process has done it
        connection.executescript(f"BEGIN IMMEDIATE; {_FROM_FORMAT_1} PRAGMA user_version={FORMAT}; COMMIT")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with closing(FileLock(lock_path(path))) as lock:
        if not lock.acquire(seconds=_OPEN_SECONDS):
            raise JournalBusyError(f"journal: {path}: another process has held its lock for {_OPEN_SECONDS:g} s")
        yield


def _check(path: Path, connection: sqlite3.Connection) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise ValueError(f"journal: {path} is a database of something else; give a file of its own")
    if (version := format_of(connection)) > FORMAT:
        raise ValueError(f"journal: {path} has format {version}, this version reads up to {FORMAT}: update it")


def lock_path(path: Path) -> Path:
    """File of the lock that those who write hold."""
    return path.with_name(f"{path.name}-lock")


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Turns errors of SQLite and of files into those of the journal."""
    try:
        yield
    except (sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError, OverflowError, UnicodeError) as error:
        raise JournalRecordError(f"journal: {path} cannot hold this: {error}") from error
    except sqlite3.Error as error:
        if "locked" in str(error):
            raise JournalBusyError(f"journal: {path}: {error}") from error
        is_other = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB
        kind = JournalAccessError if is_other else JournalError
        raise kind(f"journal: {path}: {error}") from error
    except PermissionError as error:
        raise JournalAccessError(f"journal: {path}: {error.strerror}") from error
    except OSError as error:
        raise JournalError(f"journal: {path}: {error.strerror or error}") from error
