"""Redis store: a hash of payloads and one of fingerprints per view; rows are replaced one by one."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any

import redis
from redis.exceptions import LockError, RedisError

from features.store.errors import StoreError, without_password
from features.store.protocol import Row, Stored

_PREFIX = "lightning-app"
_PER_CALL = 5_000
_LOCK_SECONDS = 15


class RedisStore:
    """A store on a Redis server.

    Args:
        url: Its address.
        timeout: Seconds after which a server that does not answer is given up.
        lock_timeout: Seconds that a writer waits for another one.

    Raises:
        ValueError: The address is malformed.
        StoreError: The server cannot be reached.
    """

    def __init__(self, url: str, *, timeout: float = 5.0, lock_timeout: float = 60.0) -> None:
        self.url = without_password(url)
        self._timeout, self._lock_timeout = timeout, lock_timeout
        try:
            self._client: Any = redis.Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout)
        except ValueError as error:
            raise ValueError(f"store: {self.url}: {error}") from error
        with self._named():
            self._client.ping()

    def read(self, namespace: str, view: str, keys: Sequence[str]) -> Stored:
        """See `OnlineStore.read`."""
        name = _name(namespace, view)
        with self._named():
            pipeline = self._client.pipeline(transaction=True)
            pipeline.get(f"{name}:mark")
            if keys:
                pipeline.hmget(f"{name}:rows", keys)
            answer = pipeline.execute()
        return Stored(_text(answer[0]), answer[1] if keys else [])

    def marks(self, namespace: str) -> dict[str, str]:
        """See `OnlineStore.marks`."""
        with self._named():
            views = sorted(_text(view) or "" for view in self._client.smembers(_name(namespace, "")))
            marks = {view: _text(self._client.get(f"{_name(namespace, view)}:mark")) for view in views}
        return {view: mark for view, mark in marks.items() if mark is not None}

    @contextmanager
    def writing(self, namespace: str, view: str) -> Iterator["_RedisWriter"]:
        """See `OnlineStore.writing`."""
        name = _name(namespace, view)
        with self._named():
            lock = self._client.lock(f"{name}:lock", timeout=_LOCK_SECONDS, thread_local=False)
            if not lock.acquire(blocking_timeout=self._lock_timeout):
                raise StoreError(
                    f"store: {self.url}: another process has been writing view {view!r} for {self._lock_timeout:g} s; "
                    "try again when it is done"
                )
        done = threading.Event()
        renewal = threading.Thread(target=_renew, args=(lock, done), daemon=True)
        renewal.start()
        try:
            with self._named():
                self._client.sadd(_name(namespace, ""), view)
                mark = _text(self._client.get(f"{name}:mark"))
                yield _RedisWriter(self._client, name, mark, lock.owned)
        finally:
            done.set()
            renewal.join()
            with suppress(RedisError):  # it expires by itself
                lock.release()

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except redis.TimeoutError as error:
            raise StoreError(f"store: {self.url} has not answered for {self._timeout:g} s") from error
        except (RedisError, OSError) as error:
            raise StoreError(f"store: {self.url}: {error}") from error


class _RedisWriter:
    """Writer of a view; rows appear as they are written."""

    def __init__(self, client: Any, name: str, mark: str | None, is_owned: Callable[[], bool]) -> None:
        self.mark = mark
        self._client = client
        self._name = name
        self._is_owned = is_owned

    def fingerprints(self) -> dict[str, int]:
        found = self._client.hscan_iter(f"{self._name}:fingerprints", count=_PER_CALL)
        return {key.decode(): int(value) for key, value in found}

    def put(self, rows: Iterable[Row]) -> None:
        waiting = iter(rows)
        while part := list(islice(waiting, _PER_CALL)):
            self._check_lock()
            pipeline = self._client.pipeline(transaction=True)
            pipeline.hset(f"{self._name}:rows", mapping={row.key: row.payload for row in part})
            pipeline.hset(f"{self._name}:fingerprints", mapping={row.key: row.fingerprint for row in part})
            pipeline.execute()

    def delete(self, keys: Iterable[str]) -> None:
        waiting = iter(keys)
        while part := list(islice(waiting, _PER_CALL)):
            self._check_lock()
            pipeline = self._client.pipeline(transaction=True)
            pipeline.hdel(f"{self._name}:rows", *part)
            pipeline.hdel(f"{self._name}:fingerprints", *part)
            pipeline.execute()

    def clear(self) -> None:
        self._check_lock()
        # Without its mark the view counts as never written: nobody reads half of it.
        self._client.delete(*(f"{self._name}:{part}" for part in ("mark", "rows", "fingerprints")))

    def finish(self, mark: str) -> None:
        self._check_lock()
        self._client.set(f"{self._name}:mark", mark)

    def _check_lock(self) -> None:
        if not self._is_owned():
            raise LockError("the lock of the writer is lost: this process was suspended for too long; run it again")


def _renew(lock: Any, done: threading.Event) -> None:
    while not done.wait(_LOCK_SECONDS / 3):
        try:
            lock.reacquire()
        except RedisError:
            return  # the writer sees that it has lost the lock


def _name(namespace: str, view: str) -> str:
    return f"{_PREFIX}:{namespace}:{view}"


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
