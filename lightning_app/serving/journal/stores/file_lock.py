"""FileLock: a lock between processes that wakes the next one at once, and that the kernel releases for the dead."""

import fcntl
import os
from pathlib import Path


class FileLock:
    """An exclusive lock on a file of its own.

    SQLite's own waiting sleeps up to 100 ms between attempts; this one is woken.

    Args:
        path: The file; it is made if it does not exist, and stays.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def acquire(self, *, wait: bool = True) -> bool:
        """Takes the lock.

        Args:
            wait: Whether to wait for it.

        Returns:
            Whether it was taken.
        """
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Gives the lock back."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Gives the lock back and closes the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
