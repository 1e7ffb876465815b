"""Study storage: a journal file, a database, or a gRPC server in front of one."""

import importlib.util
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, RDBStorage

from lightning_app.errors import UsageError, nearest
from sweeps.storage.journal_file import FileLock, JournalFile

_FORMS = "journal:///path, postgresql://user@host/base, sqlite:///path, grpc://host:port"
_START_PROXY = "start it there with: python -m sweeps.grpc_server --storage URL --port PORT"
_CONNECT_SECONDS = 10
_BASE_IS_MADE = 0x4C69_6768  # a number of our own among the data base's advisory locks


class StorageUnreachable(ConnectionError):  # noqa: N818
    """The server of a storage does not answer."""


def open_storage(url: str | None, folder: Path) -> BaseStorage:
    """Opens a storage, and creates it if needed; any number of processes may do so at once.

    Args:
        url: Where it is, as in `postgresql://user@host/base`; None for a journal file in the folder.
        folder: Folder of the study.

    Raises:
        UsageError: The URL scheme is unknown, or a package for it is missing.
        StorageUnreachable: The server does not answer, or refuses.
    """
    if url is None:
        return JournalStorage(JournalFile(folder / "journal.log"))
    kind, _, rest = url.partition("://")
    if kind == "journal" and rest:
        return _journal(rest)
    if kind == "sqlite" and rest:
        return _sqlite(url)
    if kind in ("postgres", "postgresql", "postgresql+psycopg") and rest:
        return _postgresql(f"postgresql+psycopg://{rest}")
    if kind == "grpc":
        return _grpc(url)
    raise UsageError(f"storage: {url!r} given, allowed: {_FORMS}")


def check_there(url: str) -> None:
    """Checks that a file storage exists: opening it would create it.

    Args:
        url: As `open_storage` takes it.

    Raises:
        UsageError: There is no such file.
    """
    kind, _, rest = url.partition("://")
    path = Path(rest if kind == "journal" else urlsplit(url).path.removeprefix("/"))
    if kind in ("journal", "sqlite") and not path.is_file():
        near = nearest(path.name, sorted(other.name for other in path.parent.glob("*") if other.is_file()))
        raise UsageError(f"storage: there is no {path} to go on with{near}")


def _journal(path: str) -> BaseStorage:
    if not Path(path).parent.is_dir():
        raise UsageError(f"storage: folder {Path(path).parent} does not exist; make it, or give another path")
    return JournalStorage(JournalFile(path))


def _sqlite(url: str) -> BaseStorage:
    path = Path(urlsplit(url).path.removeprefix("/"))
    if not path.name or not path.parent.is_dir():
        raise UsageError(f"storage: {url!r} given, a path in a folder that exists is needed: sqlite:///path/study.db")
    print(  # noqa: T201
        "warning: sqlite is for the processes of one host, and slow; without --storage the study is in a journal file",
        file=sys.stderr,
    )
    with FileLock(f"{path}.lock"):
        return optuna.storages.get_storage(RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}}))


def _postgresql(url: str) -> BaseStorage:
    _need("psycopg", "postgres", "PostgreSQL")
    # A connection that a server has closed, as when it was started anew, is replaced without an error.
    options: dict[str, Any] = {"connect_args": {"connect_timeout": _CONNECT_SECONDS}, "pool_pre_ping": True}
    with _alone(url, options):
        return optuna.storages.get_storage(RDBStorage(url, engine_kwargs=options))


@contextmanager
def _alone(url: str, options: dict[str, Any]) -> Iterator[None]:
    """Holds a lock of the database: two processes must not create its tables at once."""
    import sqlalchemy

    try:
        engine = sqlalchemy.create_engine(url, **options, poolclass=sqlalchemy.pool.NullPool)
    except (ValueError, sqlalchemy.exc.ArgumentError) as error:
        raise UsageError(f"storage: {url.split('@')[-1]!r} cannot be read: {error}; allowed: {_FORMS}") from error
    try:
        connection = engine.connect()
    except sqlalchemy.exc.OperationalError as error:
        where = engine.url.render_as_string(hide_password=True)
        reason = str(error.orig).strip().splitlines()[0] if error.orig else "no reason given"
        raise StorageUnreachable(f"storage: {where} cannot be reached: {reason}") from error
    with connection:  # the lock ends with the connection
        connection.execute(sqlalchemy.text(f"SELECT pg_advisory_lock({_BASE_IS_MADE})"))
        yield


def _grpc(url: str) -> BaseStorage:
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port or parts.path not in ("", "/"):
        raise UsageError(f"storage: {url!r} given, host and port are needed: grpc://host:13000")
    _need("grpc", "grpc", "a gRPC proxy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # its interface may change; the version is pinned
        proxy = optuna.storages.GrpcStorageProxy(host=host, port=port)
    try:
        proxy.wait_server_ready(timeout=_CONNECT_SECONDS)
    except ConnectionError as error:
        raise StorageUnreachable(f"storage: grpc://{host}:{port} cannot be reached; {_START_PROXY}") from error
    return proxy


def _need(module: str, extra: str, what: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise UsageError(f"storage: {what} needs a package that is not installed: pip install 'lightning-r2p[{extra}]'")
