"""JournalMaintenance: keeps the WAL small and deletes what is older than the retention, away from those who answer."""

import threading
import time

from lightning_app.serving.config.serve_config import JournalConfig
from lightning_app.serving.journal.errors import JournalError
from lightning_app.serving.journal.stores import open_store
from lightning_app.serving.journal.stores.protocol import JournalStore

_TIDY_SECONDS = 1.0
_PRUNE_SECONDS = 60.0
_DAY = 86_400.0


class JournalMaintenance:
    """A thread, meant for the process that does not answer requests; two of them do no harm.

    Args:
        config: The journal.
        tidy_seconds: How often the WAL is moved into the database.
        prune_seconds: How often old predictions are deleted.

    Attributes:
        pruned: Predictions that were deleted.
        last_error: Why the last attempt failed; None if it did not.
    """

    def __init__(
        self, config: JournalConfig, *, tidy_seconds: float = _TIDY_SECONDS, prune_seconds: float = _PRUNE_SECONDS
    ) -> None:
        self.pruned = 0
        self.last_error: str | None = None
        self._config, self._tidy_seconds, self._prune_seconds = config, tidy_seconds, prune_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-maintenance", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopping.set()
        self._thread.join(10.0)

    def _run(self) -> None:
        assert self._config.url is not None
        store: JournalStore | None = None
        next_prune = 0.0
        while not self._stopping.wait(self._tidy_seconds):
            try:
                if store is None:
                    store = open_store(self._config.url)
                store.tidy()
                if self._config.retention_days is not None and time.monotonic() >= next_prune:
                    self.pruned += store.prune(time.time() - self._config.retention_days * _DAY)[0]
                    next_prune = time.monotonic() + self._prune_seconds
                self.last_error = None
            except (JournalError, ValueError) as error:
                self.last_error = str(error)
        if store is not None:
            store.close()
