"""FileLock: a lock between processes that is waited for a bounded time, and that the kernel releases for the dead."""

import fcntl
import os
import time
from pathlib import Path

_FIRST_PAUSE, _LONGEST_PAUSE = 0.00005, 0.001


class FileLock:
    """An exclusive lock on a file of its own.

    SQLite's own waiting sleeps up to 100 ms between attempts, this one up to 1 ms. A blocking `flock` would be woken,
    but would wait for ever for a process that is stopped.

    Args:
        path: The file; it is made if it does not exist, and stays.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @property
    def descriptor(self) -> int:
        """File descriptor that the lock belongs to: who inherits it holds the lock too."""
        return self._descriptor

    def acquire(self, *, seconds: float) -> bool:
        """Takes the lock.

        Args:
            seconds: How long to wait for it; 0 tries once.

        Returns:
            Whether it was taken.
        """
        end, pause = time.monotonic() + seconds, _FIRST_PAUSE
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= end:
                    return False
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                return True

    def release(self) -> None:
        """Gives the lock back."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Gives the lock back and closes the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
