"""SpillFile: predictions and outcomes of one process, appended while the journal is down."""

import fcntl
import os
import time
from collections.abc import Sequence
from pathlib import Path

from lightning_app.serving.journal.record import Earlier, Outcome, Prediction, earlier_of
from lightning_app.serving.journal.spill.records import MAGIC, packed, unpacked

SUFFIX = ".spill"
_MOST_PLACES = 100_000
"""Ids that a retry can be answered by; memory must not grow with the time that the journal is down."""


class SpillFile:
    """A file that one process appends to. It holds the file's lock: others do not replay it meanwhile.

    Args:
        folder: Folder of the file; it is made if it does not exist.
        durable: Whether each append is synced to disk: survives the death of the machine too.

    Attributes:
        path: The file; its name orders files by their age.
        num_records: Records in it.
    """

    def __init__(self, folder: Path, *, durable: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / f"{time.time_ns():020d}-{os.getpid()}{SUFFIX}"
        # Locked before it has its name: nobody takes it for the file of a dead process.
        unnamed = self.path.with_suffix(".new")
        self._descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        os.write(self._descriptor, MAGIC)
        unnamed.rename(self.path)
        self.num_records = 0
        self._durable, self._size = durable, len(MAGIC)
        self._places: dict[str, tuple[int, int]] = {}

    def append(self, records: Sequence[Prediction | Outcome]) -> dict[str, Earlier]:
        """Appends records; predictions whose id is among the newest of the file are left out.

        Args:
            records: The records.

        Returns:
            What the file holds under the ids that were left out.

        Raises:
            OSError: The file cannot be written; it holds none of the records.
        """
        earlier: dict[str, Earlier] = {}
        parts, places, size = [], {}, self._size
        for record in records:
            if isinstance(record, Prediction) and record.request_id in places:
                earlier[record.request_id] = next(
                    earlier_of(other)
                    for other in records
                    if isinstance(other, Prediction) and other.request_id == record.request_id
                )
                continue
            if isinstance(record, Prediction) and (held := self.earlier(record.request_id)) is not None:
                earlier[record.request_id] = held
                continue
            part = packed(record)
            if isinstance(record, Prediction):
                places[record.request_id] = (size, len(part))
            parts.append(part)
            size += len(part)
        if parts:
            self._write(b"".join(parts))
            self._places |= places
            while len(self._places) > _MOST_PLACES:
                del self._places[next(iter(self._places))]
            self.num_records += len(parts)
        return earlier

    def earlier(self, request_id: str) -> Earlier | None:
        """What the file holds under an id.

        Args:
            request_id: The id.
        """
        place = self._places.get(request_id)
        if place is None:
            return None
        record, _ = unpacked(os.pread(self._descriptor, place[1], place[0]), 0)
        return earlier_of(record) if isinstance(record, Prediction) else None

    def unlock(self) -> None:
        """Leaves the file to those who replay it; its records can still be looked up."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Closes the file and leaves it to those who replay it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, data: bytes) -> None:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
            if self._durable:
                os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            os.lseek(self._descriptor, self._size, os.SEEK_SET)
            raise
        self._size += len(data)
