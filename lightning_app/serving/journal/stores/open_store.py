"""Opening of journals by address."""

from pathlib import Path

from lightning_app.serving.journal.errors import without_password
from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.journal.stores.protocol import JournalReader, JournalStore

_ALLOWED = "sqlite:///FILE or postgresql://USER@HOST/DATABASE"


def open_store(
    url: str, *, synchronous: str = "normal", create: bool = True, lock_timeout: float = 5.0
) -> JournalStore:
    """Opens a journal for writing.

    Args:
        url: `sqlite:///FILE` or `postgresql://...`.
        synchronous: SQLite only: `normal` or `full`.
        create: Whether to make what does not exist.
        lock_timeout: SQLite only: seconds to wait for another program that holds the file.

    Raises:
        ValueError: The address is of no journal, the driver is not installed, or the journal is of a newer version.
        JournalError: The journal cannot be reached.
    """
    if (path := _sqlite_path(url)) is not None:
        from lightning_app.serving.journal.stores.sqlite.store import SqliteStore

        return SqliteStore(path, synchronous=synchronous, create=create, timeout=lock_timeout)
    _check_postgres(url)
    from lightning_app.serving.journal.stores.postgres.store import PostgresStore

    return PostgresStore(url, create=create)


def open_reader(url: str) -> JournalReader:
    """Opens a journal for reading.

    Args:
        url: As in `open_store`.

    Raises:
        ValueError: As in `open_store`, or the journal does not exist.
        JournalError: The journal cannot be reached.
    """
    if (path := _sqlite_path(url)) is not None:
        from lightning_app.serving.journal.stores.sqlite.reader import SqliteReader

        return SqliteReader(path)
    _check_postgres(url)
    from lightning_app.serving.journal.stores.postgres.reader import PostgresReader

    return PostgresReader(url)


def open_database(url: str, *, create: bool = True, synchronous: str = "normal") -> JournalDatabase:
    """Opens the database of a journal, for statements of one's own.

    Args:
        url: As in `open_store`.
        create: Whether to make what does not exist.
        synchronous: SQLite only: `normal` or `full`.

    Raises:
        ValueError: As in `open_store`.
        JournalError: The journal cannot be reached.
    """
    if (path := _sqlite_path(url)) is not None:
        from lightning_app.serving.journal.stores.sqlite.database import SqliteDatabase

        return SqliteDatabase(path, create=create, synchronous=synchronous)
    _check_postgres(url)
    from lightning_app.serving.journal.stores.postgres.database import PostgresDatabase

    return PostgresDatabase(url, create=create)


def _sqlite_path(url: str) -> Path | None:
    scheme, _, rest = url.partition("://")
    if scheme != "sqlite":
        return None
    if not rest.startswith("/") or len(rest) < 2:
        raise ValueError(f"journal: {url!r} names no file; sqlite:///FILE, or sqlite:////FOLDER/FILE, is needed")
    return Path(rest[1:]).expanduser()


def _check_postgres(url: str) -> None:
    if url.partition("://")[0] not in ("postgresql", "postgres"):
        raise ValueError(f"journal: {without_password(url)!r} is no address of a journal; allowed: {_ALLOWED}")
    try:
        import psycopg  # noqa: F401
    except ImportError as error:  # psycopg without its library too
        raise ValueError(
            f"journal: {without_password(url)} needs psycopg: pip install 'lightning-r2p[postgres-store]'"
        ) from error
