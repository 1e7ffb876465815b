"""Opening of stores by address."""

from pathlib import Path

from features.store.errors import without_password
from features.store.protocol import OnlineStore

_ALLOWED = "a path, sqlite:///file.db, redis://host:6379/0 or postgresql://user@host/database"


def open_store(url: str | Path, *, timeout: float = 5.0, lock_timeout: float = 60.0) -> OnlineStore:
    """Opens an online store.

    Args:
        url: `sqlite:///file.db` or a path, `redis://...`, `rediss://...`, `unix://...` (Redis), or `postgresql://...`.
        timeout: Seconds after which a server that does not answer is given up.
        lock_timeout: Seconds that a writer waits for another one.

    Raises:
        ValueError: The address is of no store, or the driver of its store is not installed.
        StoreError: The store cannot be reached.
    """
    text = str(url)
    scheme, found, rest = text.partition("://")
    if not found:
        scheme, rest = "sqlite", f"/{text}"
    if scheme == "sqlite":
        from features.store.sqlite import SqliteStore

        if not rest.startswith("/") or len(rest) < 2:
            raise ValueError(
                f"store: {text!r} names no file; sqlite:///file.db, or sqlite:////folder/file.db, is needed"
            )
        return SqliteStore(Path(rest[1:]).expanduser(), lock_timeout=lock_timeout)
    if scheme in ("redis", "rediss", "unix"):
        try:
            from features.store.redis import RedisStore
        except ModuleNotFoundError as error:
            raise _no_driver(text, "redis", "redis") from error
        return RedisStore(text, timeout=timeout, lock_timeout=lock_timeout)
    if scheme in ("postgresql", "postgres"):
        try:
            from features.store.postgres import PostgresStore
        except ImportError as error:  # psycopg without its library too
            raise _no_driver(text, "psycopg", "postgres-store") from error
        return PostgresStore(text, timeout=timeout, lock_timeout=lock_timeout)
    raise ValueError(f"store: {without_password(text)!r} is no address of a store; allowed: {_ALLOWED}")


def _no_driver(url: str, module: str, extra: str) -> ValueError:
    return ValueError(
        f"store: {without_password(url)} needs {module}, which is not installed: pip install 'lightning-r2p[{extra}]'"
    )
