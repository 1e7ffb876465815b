"""JournalMaintenance: keeps the WAL small and deletes what is older than the retention, away from those who answer."""

import threading
import time
from collections.abc import Callable

from lightning_app.serving.config.serve_config import JournalConfig
from lightning_app.serving.journal.errors import JournalAccessError, JournalError
from lightning_app.serving.journal.stores import open_database, open_store
from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.journal.stores.protocol import JournalStore
from lightning_app.serving.journal.stores.side_tables import merge_counts, prune_side_tables

_TIDY_SECONDS = 1.0
_PRUNE_SECONDS = 60.0
_DAY = 86_400.0


class JournalMaintenance:
    """A thread, meant for the process that does not answer requests; two of them do no harm.

    Args:
        config: The journal.
        tidy_seconds: How often the WAL is moved into the database.
        prune_seconds: How often old predictions are deleted, and counts of arms merged.

    Attributes:
        pruned: Predictions that were deleted.
        last_error: Why the last attempt failed; None if it did not.

    Raises:
        ValueError: The address is of no journal, of one of a newer version, or of a file that cannot be written while
            the policy is to answer nothing then.
    """

    def __init__(
        self, config: JournalConfig, *, tidy_seconds: float = _TIDY_SECONDS, prune_seconds: float = _PRUNE_SECONDS
    ) -> None:
        self.pruned = 0
        self.last_error: str | None = None
        self._config, self._tidy_seconds, self._prune_seconds = config, tidy_seconds, prune_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-maintenance", daemon=True)
        self._store: JournalStore | None = None
        self._database: JournalDatabase | None = None
        self._attempt(self._open_first)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopping.set()
        self._thread.join(10.0)

    def _run(self) -> None:
        next_prune = 0.0
        while not self._stopping.wait(self._tidy_seconds):
            try:
                self._attempt(lambda: self._opened().tidy())
                if time.monotonic() >= next_prune:
                    self._attempt(self._merge)
                    if self._config.retention_days is not None:
                        self._attempt(self._prune)
                    next_prune = time.monotonic() + self._prune_seconds
            except ValueError as error:  # another file has taken its place
                self.last_error = str(error)
        for opened in (self._store, self._database):
            if opened is not None:
                opened.close()

    def _attempt(self, work: Callable[[], object]) -> None:
        try:
            work()
            self.last_error = None
        except JournalError as error:
            self.last_error = str(error)

    def _open_first(self) -> None:
        try:
            self._opened()
        except JournalAccessError as error:
            if self._config.on_failure == "fail":
                raise ValueError(f"{error}; give --journal a file that can be written, or none") from error
            raise

    def _opened(self) -> JournalStore:
        if self._store is None:
            assert self._config.url is not None
            self._store = open_store(self._config.url)
        return self._store

    def _opened_database(self) -> JournalDatabase:
        if self._database is None:
            assert self._config.url is not None
            self._database = open_database(self._config.url)
        return self._database

    def _merge(self) -> None:
        merge_counts(self._opened_database(), now=time.time())

    def _prune(self) -> None:
        assert self._config.retention_days is not None
        before = time.time() - self._config.retention_days * _DAY
        self.pruned += self._opened().prune(before)[0]
        prune_side_tables(self._opened_database(), before)
