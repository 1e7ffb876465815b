"""Schema of the journal in PostgreSQL, its connections, and its errors."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict

from lightning_app.serving.journal.errors import JournalError, JournalRecordError, without_password
from lightning_app.serving.journal.stores.added_tables import POSTGRES, added_tables

FORMAT = 2
COLUMNS = (
    "request_id", "time", "model", "version", "digest", "arm", "probability", "entity", "num_rows", "latency_ms",
    "content_type", "body", "query", "answer_type", "answer", "features", "body_digest", "key_id", "degraded",
    "is_redacted", "experiment",
)  # fmt: skip
"""Columns of predictions, in the order of the fields of `Prediction`."""
TYPES = (
    "text", "float8", "text", "int8", "text", "text", "float8", "text", "int8", "float8", "text", "bytea", "text",
    "text", "bytea", "bytea", "bytea", "text", "text", "bool", "text",
)  # fmt: skip
_LOCK = 7_021_604_115
"""Number of the lock under which the tables are made."""
_NULLABLE = {"version", "entity", "features", "key_id", "degraded", "experiment"}
_PREDICTION_COLUMNS = ", ".join(
    f"{name} {kind}{'' if name in _NULLABLE else ' NOT NULL'}" for name, kind in zip(COLUMNS, TYPES, strict=True)
)
# In the order of writing, and so nearly in that of time: `number` takes the place of an index on time.
_TABLES = f"""
CREATE TABLE lightning_app_journal (key text PRIMARY KEY, value bytea NOT NULL);
CREATE TABLE lightning_app_predictions (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, written timestamptz NOT NULL DEFAULT now(),
  {_PREDICTION_COLUMNS}, UNIQUE (request_id)
);
CREATE INDEX lightning_app_predictions_time ON lightning_app_predictions USING brin (time);
CREATE TABLE lightning_app_outcomes (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, written timestamptz NOT NULL DEFAULT now(),
  request_id text NOT NULL, "row" int8 NOT NULL, time float8 NOT NULL, outcome text, reward float8, key_id text,
  UNIQUE (request_id, "row")
);
{added_tables(POSTGRES)}
"""
# Those who write wait behind a lock that waits: better to give up soon, and to try again.
_FROM_FORMAT_1 = f"""
SET LOCAL lock_timeout = '1s';
ALTER TABLE lightning_app_predictions ADD COLUMN experiment text;
{added_tables(POSTGRES)}
"""


def connect(url: str, *, timeout: float, create: bool = True, upgrade: bool = True) -> psycopg.Connection:
    """Connects to a journal; makes its tables if there are none, and those that an earlier format lacks.

    Args:
        url: Address of the database.
        timeout: Seconds after which a server that does not answer is given up.
        create: Whether to make the tables if they do not exist.
        upgrade: Whether to upgrade a journal of an earlier format; without, it is read as it is.

    Raises:
        JournalError: The server cannot be reached.
        ValueError: The address is malformed, there is no journal, or it is one of a newer version.
    """
    public = without_password(url)
    try:
        conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise ValueError(f"journal: {public} is malformed: {without_password(str(error).strip())}") from error
    milliseconds = round(timeout * 1000)
    with named_errors(public):
        connection = psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=max(2, round(timeout)),  # libpq takes whole seconds, at least 2
            tcp_user_timeout=milliseconds,
            options=f"-c statement_timeout={milliseconds}",
        )
        try:
            _prepare(connection, public, create=create, upgrade=upgrade)
        except BaseException:
            connection.close()
            raise
    return connection


def format_of(connection: psycopg.Connection) -> int:
    """Format of a journal."""
    row = connection.execute("SELECT value FROM lightning_app_journal WHERE key = 'format'").fetchone()
    return FORMAT if row is None else int.from_bytes(row[0], "big")


def _prepare(connection: psycopg.Connection, public: str, *, create: bool, upgrade: bool) -> None:
    if not _exists(connection):
        if not create:
            raise ValueError(f"journal: {public} holds no journal")
        _make_tables(connection)
    if (version := format_of(connection)) > FORMAT:
        raise ValueError(f"journal: {public} has format {version}, this version reads up to {FORMAT}: update it")
    if upgrade and version < FORMAT:
        _upgrade(connection)


def _exists(connection: psycopg.Connection) -> bool:
    return connection.execute("SELECT to_regclass('lightning_app_outcomes')").fetchone() != (None,)


def _make_tables(connection: psycopg.Connection) -> None:
    with _locked(connection):
        if _exists(connection):
            return
        with connection.transaction():
            connection.execute(_TABLES)
            insert = "INSERT INTO lightning_app_journal VALUES ('salt', %s), ('format', %s)"
            connection.execute(insert, (os.urandom(32), FORMAT.to_bytes(2, "big")))


def _upgrade(connection: psycopg.Connection) -> None:
    with _locked(connection):
        if format_of(connection) == FORMAT:
            return  # another process has done it
        with connection.transaction():
            connection.execute(_FROM_FORMAT_1)
            update = "UPDATE lightning_app_journal SET value = %s WHERE key = 'format'"
            connection.execute(update, (FORMAT.to_bytes(2, "big"),))


@contextmanager
def _locked(connection: psycopg.Connection) -> Iterator[None]:
    """The lock of the schema. It is of the session: a transaction that waited for it would not see what others made.

    Names that were not found are looked up anew only when a transaction begins.
    """
    connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


@contextmanager
def named_errors(url: str) -> Iterator[None]:
    """Turns errors of PostgreSQL into those of the journal.

    Args:
        url: Address without its password.
    """
    try:
        yield
    except (psycopg.DataError, UnicodeError) as error:
        raise JournalRecordError(f"journal: {url} cannot hold this: {_line(error)}") from error
    except psycopg.Error as error:
        raise JournalError(f"journal: {url}: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
