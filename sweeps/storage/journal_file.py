"""Journal file of a study, robust against processes that are killed at any moment."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock
from typing_extensions import override

from lightning_app.errors.full_disk import names_full_disk


class FileLock(BaseJournalFileLock):
    """A lock that the kernel releases when its process dies.

    Optuna's own locks are files that remain when a process is killed between creating and removing them; all others
    then wait for 30 seconds. On NFS, Linux passes this lock to the server, which releases it when a host is gone.

    Args:
        path: The lock file; it is created, and not removed.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._file = -1

    @override
    def acquire(self) -> bool:
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except BaseException:
            os.close(file)
            raise
        self._file = file
        return True

    @override
    def release(self) -> None:
        os.close(self._file)

    def __enter__(self) -> "FileLock":
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class JournalFile(JournalFileBackend):
    """Operations of a study, a line of JSON each, to which any number of processes append.

    Args:
        path: The journal.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._own_lock = FileLock(f"{path}.lock")
        super().__init__(str(path), lock_obj=self._own_lock)

    @override
    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        path = Path(self._file_path)
        with self._own_lock, names_full_disk(path, len(lines)), path.open("rb+") as file:
            _cut_half_line(file)
            file.write(lines.encode())
            file.flush()
            os.fsync(file.fileno())


def _cut_half_line(file: BinaryIO) -> None:
    """Removes an incomplete last line, whose writer died: the next line would be unreadable; seeks to the end."""
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        return
    file.seek(size - 1)
    if file.read(1) == b"\n":
        return
    file.seek(0)
    file.truncate(file.read().rfind(b"\n") + 1)
    file.seek(0, os.SEEK_END)
