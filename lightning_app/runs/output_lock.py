"""Output lock: one job at a time writes an output, across machines that share the folder."""

import errno
import fcntl
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from lightning_app.errors import UsageError
from lightning_app.identity import USER_AT_HOST

_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class OutputLock:
    """A file lock that the operating system releases when the process ends.

    The lock file is in the folder of the parts, and is removed with it.

    Args:
        path: Lock file; its folder is created.
        output: Output that is locked, for messages.

    Raises:
        UsageError: Another job holds the lock; the message names it.
    """

    def __init__(self, path: Path, *, output: Path) -> None:
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:  # the holder finished and removed the folder
                continue
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.pread(self._descriptor, 500, 0).decode(errors="replace").strip()
                os.close(self._descriptor)
                raise UsageError(
                    f"output: {output} is being written by another job ({holder or 'just started'}); wait for it, or "
                    "give another output"
                ) from error
            except OSError as error:
                if error.errno not in _WITHOUT_LOCKS:
                    os.close(self._descriptor)
                    raise
                print(  # noqa: T201
                    f"warning: {path.parent} is on a file system without locks ({error.strerror}): nothing keeps "
                    "another job from this output",
                    file=sys.stderr,
                )
            if self.is_at(path):
                break
            os.close(self._descriptor)  # its folder was removed in the meantime
        os.ftruncate(self._descriptor, 0)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        os.pwrite(self._descriptor, f"{USER_AT_HOST}, process {os.getpid()}, since {since}".encode(), 0)

    def is_at(self, path: Path) -> bool:
        """Whether the file at a path is the file of this lock, and not a newer one of the same name."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Releases the lock."""
        os.close(self._descriptor)
