"""Rate limits: requests per second and rows per day of each key, counted once for all workers of a server.

The counters are in a file that every worker maps into memory. A share of `rate / workers` each would be simpler, but
the system hands out connections, not requests: a client with one connection would get the share of one worker.
"""

import mmap
import os
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_UN, lockf
from hashlib import sha256
from pathlib import Path

from lightning_app.errors import UsageError
from lightning_app.serving.security.access_error import AccessError
from lightning_app.serving.security.key_file import KeyEntry

_SLOT = struct.Struct("=32sdqq")
"""Hash of the key id, time until which its requests are paid for, day, rows of that day."""
_TIME, _ROWS = struct.Struct("=d"), struct.Struct("=qq")
_NUM_SLOTS = 4096
_DAY = 86_400


class RateLimits:
    """Counters of all keys that have a rate or a budget of rows; other keys cost nothing.

    A rate is a token bucket: `burst` requests at once, refilled at `rate` per second. Rows are counted per UTC day, for
    as long as the file exists; a refused request takes none. Each change of a counter locks its own slot of the file,
    about 2 us, and the lock of a killed worker is released by the system.

    Args:
        path: File of the counters, shared by the workers; created if missing.

    Raises:
        UsageError: The file cannot be written, or is another file.
    """

    def __init__(self, *, path: Path) -> None:
        size = _SLOT.size * _NUM_SLOTS
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with self._whole_file():
                if (found := os.fstat(self._file).st_size) not in (0, size):
                    raise UsageError(f"keys: {path} has {found:,} bytes, counters of keys have {size:,}; remove it")
                os.ftruncate(self._file, size)
        except OSError as error:
            raise UsageError(f"keys: {path} for the counters of keys cannot be written: {error.strerror}") from error
        self._counters = mmap.mmap(self._file, size)
        self._offsets: dict[str, int] = {}

    def take(self, entries: Iterable[KeyEntry]) -> None:
        """Finds or makes the counters of keys; to be called with all keys whenever they have been read.

        Args:
            entries: The keys.

        Raises:
            UsageError: There are more limited keys than counters.
        """
        limited = [entry.id for entry in entries if entry.rate is not None or entry.rows_per_day is not None]
        with self._whole_file():
            slots = {_SLOT.unpack_from(self._counters, _SLOT.size * place)[0]: place for place in range(_NUM_SLOTS)}
            free = (place for place in range(_NUM_SLOTS) if not any(self._hash_at(place)))
            for key_id in limited:
                name = sha256(key_id.encode()).digest()
                if (place := slots.get(name)) is None:
                    place = next(free, None)
                    if place is None:
                        raise UsageError(
                            f"keys: over {_NUM_SLOTS:,} keys have had a rate or a budget; restart to reset"
                        )
                    self._counters[_SLOT.size * place : _SLOT.size * place + 32] = name
                self._offsets[key_id] = _SLOT.size * place

    def request(self, entry: KeyEntry) -> None:
        """Counts a request.

        Args:
            entry: Its key.

        Raises:
            AccessError: 429 if the key has used up its rate.
        """
        if entry.rate is None:
            return
        interval = 1.0 / entry.rate
        allowed = interval * (max(1, int(entry.rate)) if entry.burst is None else entry.burst)
        offset = self._offsets[entry.id] + 32
        lockf(self._file, LOCK_EX, 1, offset)
        try:
            now = time.monotonic()  # read under the lock: no other worker has written a later time
            paid_until = _TIME.unpack_from(self._counters, offset)[0]
            if paid_until < now or paid_until > now + allowed + 1e-6:  # or of another boot, or of a lower rate
                paid_until = now
            wait = paid_until + interval - now - allowed
            if wait <= 1e-9:
                _TIME.pack_into(self._counters, offset, paid_until + interval)
                return
        finally:
            lockf(self._file, LOCK_UN, 1, offset)
        raise AccessError(
            429, "rate_exceeded", f"the API key {entry.id} may send {entry.rate:g} requests/s", retry_after=wait
        )

    def rows(self, entry: KeyEntry, num_rows: int) -> None:
        """Counts rows to be predicted.

        Args:
            entry: Key of the request.
            num_rows: Its rows.

        Raises:
            AccessError: 429 if fewer rows are left today; none of them is counted then.
        """
        if entry.rows_per_day is None:
            return
        offset = self._offsets[entry.id] + 40
        now = time.time()
        today = int(now // _DAY)
        lockf(self._file, LOCK_EX, 1, offset)
        try:
            day, used = _ROWS.unpack_from(self._counters, offset)
            used = used if day == today else 0
            if used + num_rows <= entry.rows_per_day:
                _ROWS.pack_into(self._counters, offset, today, used + num_rows)
                return
        finally:
            lockf(self._file, LOCK_UN, 1, offset)
        left = max(0, entry.rows_per_day - used)
        raise AccessError(
            429,
            "budget_exceeded",
            f"the API key {entry.id} may predict {entry.rows_per_day:,} rows a day (UTC), {left:,} are left and "
            f"{num_rows:,} were sent",
            retry_after=_DAY - now % _DAY if num_rows <= entry.rows_per_day else None,
        )

    def close(self) -> None:
        """Closes the file; the counters stay in it."""
        self._counters.close()
        os.close(self._file)

    def _hash_at(self, place: int) -> bytes:
        return self._counters[_SLOT.size * place : _SLOT.size * place + 32]

    @contextmanager
    def _whole_file(self) -> Iterator[None]:
        """Locks the file against the other workers."""
        lockf(self._file, LOCK_EX)
        try:
            yield
        finally:
            lockf(self._file, LOCK_UN)
