"""RedisSource: entries of a Redis stream, read by a consumer group; the journal recognises those that come again."""

import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import redis
from typing_extensions import override

from lightning_app.errors import UsageError
from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.stream.errors import StreamError
from lightning_app.serving.stream.event import Event, key_text
from lightning_app.serving.stream.sources.protocol import Source

_log = logging.getLogger("lightning_app.serving.stream")
_SUSPECT = 3
"""An entry that was delivered so often before comes alone."""
_MOST_LAG = 10_000
"""Entries that are counted one by one, where Redis does not know their number."""
_BODY, _KEY, _TYPE = b"body", b"key", b"content-type"


class RedisSource(Source):
    """A consumer of a group.

    Entries of consumers that have died are claimed once they were idle for a while. Two consumers may so answer one
    entry: the journal takes the first answer, and the other worker drops its own.

    Args:
        server: Address of the server.
        key: Key of the stream.
        group: Consumer group.
        stream: Name of the stream.
        holder: The worker.
        start: Where the group begins if it is new.
        content_type: Media type of entries without the field `content-type`.
        lease_seconds: Idle time after which an entry is claimed.
        poison: Deliveries after which an entry is a dead letter.
    """

    def __init__(
        self,
        *,
        server: str,
        key: str,
        group: str,
        stream: str,
        holder: str,
        start: Literal["earliest", "latest"],
        content_type: str,
        lease_seconds: float,
        poison: int,
    ) -> None:
        self._server, self._key, self._group, self._stream, self._holder = server, key, group, stream, holder
        self._start, self._content_type, self._seconds, self._poison = start, content_type, lease_seconds, poison
        self._redis: redis.Redis | None = None
        self._open: dict[str, int] = {}  # entries that are being answered: how often each was delivered
        self._claimed: deque[Event] = deque()
        self._next_claim = 0.0
        self._kept = 0.0

    @override
    def open(self) -> None:
        try:
            self._redis = redis.Redis.from_url(self._server, socket_timeout=10, socket_connect_timeout=5)
        except ValueError as error:
            raise UsageError(f"redis: {error}") from error
        self._make_group("0" if self._start == "earliest" else "$")

    @override
    def poll(self, most: int, seconds: float) -> list[Event]:
        client = self._opened()
        with _reached():
            if not self._claimed and time.monotonic() >= self._next_claim:
                self._claim(client, most)
            if self._claimed:
                return self._of_the_dead(most)
            if seconds:
                wait = max(1, round(1000 * min(seconds, max(0.001, self._next_claim - time.monotonic()))))
            else:
                wait = None
            try:
                answer: Any = client.xreadgroup(self._group, self._holder, {self._key: ">"}, count=most, block=wait)
            except redis.ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
                _log.warning("redis: the group %s was gone, and is made anew", self._group)
                self._make_group("0")  # what was answered before is recognised
                return []
        entries = _entries(answer, self._key)
        arrived = time.perf_counter()
        self._kept = time.monotonic()
        return [self._event(entry, fields, 1, arrived) for entry, fields in entries]

    @override
    def settle(self, sql: JournalDatabase, events: Sequence[Event]) -> None:
        pass  # the ids of the answers are the fence: the journal takes each once

    @override
    def committed(self, events: Sequence[Event]) -> None:
        for event in events:
            self._open.pop(event.position, None)
        try:
            with _reached():
                self._opened().xack(self._key, self._group, *(event.position for event in events))
        except StreamError as error:
            _log.warning("entries could not be acknowledged; they come again, and are recognised: %s", error)

    @override
    def keep(self) -> None:
        if not self._open or time.monotonic() - self._kept < self._seconds / 3:
            return
        self._kept = time.monotonic()
        with _reached():
            self._opened().xclaim(self._key, self._group, self._holder, 0, list(self._open), justid=True)

    @override
    def lag(self) -> dict[str, int] | None:
        client = self._opened()
        try:
            with _reached():
                groups: Any = client.xinfo_groups(self._key)
                for group in groups:
                    if group["name"] != self._group.encode():
                        continue
                    behind = group.get("lag")
                    if behind is None:  # before Redis 7, and where entries were deleted
                        entries: Any = client.xrange(self._key, min=b"(" + group["last-delivered-id"], count=_MOST_LAG)
                        behind = len(entries)
                    return {"": int(behind) + int(group["pending"])}
        except (StreamError, redis.ResponseError):
            return None
        return None

    @override
    def close(self) -> None:
        if self._redis is None:
            return
        with _reached():
            for entry, deliveries in self._open.items():
                self._redis.xclaim(
                    self._key, self._group, self._holder, 0, [entry], idle=round(1000 * self._seconds) + 1,
                    retrycount=deliveries - 1, justid=True,
                )  # fmt: skip
            if not self._open:
                self._redis.xgroup_delconsumer(self._key, self._group, self._holder)
        self._redis.close()
        self._redis = None

    def _opened(self) -> "redis.Redis":
        assert self._redis is not None
        return self._redis

    def _make_group(self, begin: str) -> None:
        try:
            with _reached():
                self._opened().xgroup_create(self._key, self._group, id=begin, mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise UsageError(f"redis: {self._key} cannot be read: {error}") from error

    def _claim(self, client: "redis.Redis", most: int) -> None:
        """Entries that nobody has answered for a while."""
        answer: Any = client.xautoclaim(
            self._key, self._group, self._holder, min_idle_time=round(1000 * self._seconds), start_id="0-0", count=most
        )
        entries = [(entry, fields) for entry, fields in answer[1] if fields is not None]
        if len(entries) < most:
            self._next_claim = time.monotonic() + self._seconds / 3
        if len(answer) > 2 and answer[2]:
            self.lost += len(answer[2])
            _log.error("redis: %d entries were deleted from %s before they were answered", len(answer[2]), self._key)
        if not entries:
            return
        first, last = entries[0][0], entries[-1][0]
        pending: Any = client.xpending_range(self._key, self._group, first, last, len(entries), self._holder)
        deliveries = {one["message_id"]: one["times_delivered"] for one in pending}
        arrived = time.perf_counter()
        self._kept = time.monotonic()
        self._claimed += [self._event(entry, fields, deliveries.get(entry, 1), arrived) for entry, fields in entries]
        _log.info("redis: %d entries of other consumers were claimed", len(entries))

    def _of_the_dead(self, most: int) -> list[Event]:
        events: list[Event] = []
        while self._claimed and len(events) < most:
            if self._claimed[0].attempts > _SUSPECT and events:
                break
            events.append(self._claimed.popleft())
            if events[-1].attempts > _SUSPECT:
                break
        return events

    def _event(self, entry: bytes, fields: dict[bytes, bytes], deliveries: int, arrived: float) -> Event:
        position = entry.decode()
        self._open[position] = deliveries
        body = fields.get(_BODY)
        problem = None
        if body is None:
            names = ", ".join(name.decode(errors="replace") for name in fields)
            problem = "no_body", f"body: no such field, the entry has {names[:200]}"
        elif deliveries > self._poison:
            problem = "poison", f"it was delivered {deliveries} times, and its workers have died"
        return Event(
            request_id=f"{self._stream}:{position}",
            partition="",
            position=position,
            key=key_text(fields.get(_KEY)),
            content_type=fields.get(_TYPE, b"").decode("latin-1") or self._content_type,
            body=body or b"",
            time=int(position.partition("-")[0]) / 1000,
            arrived=arrived,
            attempts=deliveries,
            problem=problem,
        )


def _entries(answer: Any, key: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Entries of one stream in an answer, of either version of the protocol."""
    if not answer:
        return []
    parts = answer[key.encode()] if isinstance(answer, dict) else answer[0][1]
    if parts and isinstance(parts[0], list) and parts[0] and isinstance(parts[0][0], tuple | list):
        parts = parts[0]
    return [(entry, dict(fields)) for entry, fields in parts]


@contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise StreamError(f"redis: {error}") from error
