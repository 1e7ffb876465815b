"""SideWriter: answers of shadows and counts of arms, written beside the answers; nobody waits for them."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence

from lightning_app.serving.journal.arm_count import ArmCount
from lightning_app.serving.journal.errors import JournalError, JournalRecordError
from lightning_app.serving.journal.record import Shadow
from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.journal.stores.side_tables import add_counts, add_shadows, merged_counts

_log = logging.getLogger("lightning_app.serving")
_FLUSH_SECONDS = 0.25
_MOST_SHADOWS = 4096
_MOST_BYTES = 2**25
_SHADOWS_AT_ONCE = 64
"""Those who answer wait for the lock of SQLite meanwhile: about half a millisecond."""
_MOST_COUNTS = 256
_CLOSE_SECONDS = 5.0


class SideWriter:
    """A thread with its own connection; it starts with the first record.

    While the journal is down, shadows wait until there are too many of them, and counts are summed up. Both are lost
    with the process.

    Args:
        open_database: Opens the database of the journal.
        redacted: What may be written of a shadow's answer; raises JournalError while that is not known.

    Attributes:
        shadows: Answers of shadows that were written.
        lost_shadows: Those that were not.
    """

    def __init__(self, *, open_database: Callable[[], JournalDatabase], redacted: Callable[[Shadow], Shadow]) -> None:
        self.shadows = self.lost_shadows = 0
        self._open_database, self._redacted = open_database, redacted
        self._database: JournalDatabase | None = None
        self._lock = threading.Lock()
        self._waiting: deque[Shadow] = deque()
        self._num_bytes = 0
        self._counts: list[ArmCount] = []
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def shadow(self, shadow: Shadow) -> None:
        """Takes the answer of a shadow.

        Args:
            shadow: The answer.
        """
        with self._lock:
            if len(self._waiting) >= _MOST_SHADOWS or self._num_bytes >= _MOST_BYTES:
                self.lost_shadows += 1
                return
            self._waiting.append(shadow)
            self._num_bytes += len(shadow.answer or b"")
        self._start()

    def counts(self, rows: Sequence[ArmCount]) -> None:
        """Takes counts of arms.

        Args:
            rows: Counts since the last ones.
        """
        with self._lock:
            self._counts += rows
        self._start()

    def close(self) -> None:
        """Writes what waits, if that can be done now."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)
        with self._lock:
            requests, shadows = sum(row.requests for row in self._counts), len(self._waiting)
            self.lost_shadows += shadows
        if requests or shadows:
            _log.warning("not journalled: counts of %d requests, and %d answers of shadows", requests, shadows)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="journal-side", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._stopping.wait(_FLUSH_SECONDS):
            self._flush()
        self._flush()
        if self._database is not None:
            self._database.close()

    def _flush(self) -> None:
        try:
            if self._database is None:
                self._database = self._open_database()
            self._write_counts(self._database)
            while self._waiting:
                self._write_shadows(self._database)
        except (JournalError, ValueError):
            # Health says that the journal is down; the next time will do.
            with self._lock:
                if len(self._counts) > _MOST_COUNTS:
                    self._counts = merged_counts(self._counts)

    def _write_counts(self, database: JournalDatabase) -> None:
        with self._lock:
            rows, self._counts = self._counts, []
        if not rows:
            return
        try:
            add_counts(database, rows)
        except (JournalError, ValueError):
            with self._lock:
                self._counts = [*rows, *self._counts]
            raise

    def _write_shadows(self, database: JournalDatabase) -> None:
        with self._lock:
            part = [self._waiting[place] for place in range(min(len(self._waiting), _SHADOWS_AT_ONCE))]
        redacted = [self._redacted(shadow) for shadow in part]
        num_written = 0
        try:
            add_shadows(database, redacted)
            num_written = len(part)
        except JournalRecordError:
            for shadow in redacted:  # the others are not to suffer for one
                try:
                    add_shadows(database, [shadow])
                    num_written += 1
                except JournalRecordError:
                    continue
        with self._lock:
            for shadow in part:
                self._waiting.popleft()
                self._num_bytes -= len(shadow.answer or b"")
            self.shadows += num_written
            self.lost_shadows += len(part) - num_written
