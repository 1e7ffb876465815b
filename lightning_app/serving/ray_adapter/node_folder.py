"""NodeFolder: runtime folder that the replicas of one node share, as the workers of one server do."""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from lightning_app.serving.observability.gauge_files import forget_gauges
from lightning_app.serving.worker.assembly import METRICS

_PREFIX = "lightning-app-ray-"


class NodeFolder:
    """Metrics, counters of API keys and sessions of the replicas on one node.

    Each replica holds the lock of its number. A number whose lock is free was of a replica that has ended: it is taken
    again, so that counters go on, and its gauges are removed. A replica that finds no other starts with an empty
    folder.

    Args:
        name: Of the node and the application, unique in this machine's temporary folder.

    Attributes:
        path: The folder; only its user can read it.
        number: Number of this replica on its node, from 0.
    """

    def __init__(self, name: str) -> None:
        self.path = Path(tempfile.gettempdir()) / f"{_PREFIX}{os.getuid()}-{name}"
        self._locks = self.path.with_name(f"{self.path.name}.locks")
        for folder in (self.path, self._locks):
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder.stat().st_uid != os.getuid():
                raise PermissionError(f"{folder} belongs to another user; remove it, or set TMPDIR")
        with (self._locks / "all").open("w") as everyone:
            fcntl.flock(everyone, fcntl.LOCK_EX)
            self.number, self._lock, free, others = self._take()
            if not others:
                shutil.rmtree(self.path)
                self.path.mkdir(mode=0o700)
            for number in (self.number, *free):
                forget_gauges(self.path / METRICS, str(number))

    def close(self) -> None:
        """Gives the number back; the gauges of this replica are gone."""
        with (self._locks / "all").open("w") as everyone:
            fcntl.flock(everyone, fcntl.LOCK_EX)
            forget_gauges(self.path / METRICS, str(self.number))
            os.close(self._lock)

    def _take(self) -> tuple[int, int, list[int], int]:
        """A free number, its lock, further numbers that are free, and how many are in use."""
        taken: tuple[int, int] | None = None
        free: list[int] = []
        others = 0
        known = len(list(self._locks.glob("replica-*")))
        for number in range(known + 1):
            lock = os.open(self._locks / f"replica-{number}", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                others += 1
                os.close(lock)
                continue
            if taken is None:
                taken = (number, lock)
                continue
            free.append(number)
            with suppress(OSError):
                os.close(lock)
        assert taken is not None, "one number more than there are locks is free"
        return *taken, free, others
