"""InlineStore: a journal in a file that the event loop writes itself, as long as that takes microseconds."""

import time
from collections.abc import Callable, Sequence
from resource import RUSAGE_THREAD, getrusage

from lightning_app.serving.journal.record import Earlier, Prediction
from lightning_app.serving.journal.stores.protocol import JournalStore

_SLOW_SECONDS = 0.005
_PAUSE_SECONDS = 1.0
"""A disk that was slow once is left to the thread for so long."""
_MOST_PREDICTIONS = 256
_MOST_BYTES = 2**20


class InlineStore:
    """Writes what is small; says when writing is to be left to a thread.

    Args:
        open_store: Opens the journal for one that waits for nobody.
    """

    def __init__(self, open_store: Callable[[], JournalStore]) -> None:
        self._open_store = open_store
        self._store: JournalStore | None = None
        self._not_before = 0.0

    def open(self) -> None:
        """Opens the journal, if it is not open.

        Raises:
            JournalError: It cannot be opened.
            ValueError: It is no journal.
        """
        if self._store is None:
            self._store = self._open_store()

    def takes(self, predictions: Sequence[Prediction]) -> bool:
        """Whether predictions can be written without holding up the event loop.

        Args:
            predictions: The predictions.
        """
        return (
            self._store is not None
            and 0 < len(predictions) <= _MOST_PREDICTIONS
            and time.monotonic() >= self._not_before
            and sum(len(one.body) + len(one.answer) + len(one.features or b"") for one in predictions) <= _MOST_BYTES
        )

    def write(self, predictions: Sequence[Prediction]) -> tuple[dict[str, Earlier], float]:
        """Writes predictions in one transaction.

        Args:
            predictions: The predictions.

        Returns:
            earlier: What the journal holds under ids that it held already.
            seconds: How long it took.

        Raises:
            JournalBusyError: Another process is writing.
            JournalRecordError: The journal can hold one of them at no time.
            JournalError: The journal cannot be written.
            ValueError: It is no journal any more.
        """
        assert self._store is not None
        waits = getrusage(RUSAGE_THREAD).ru_nvcsw
        begin = time.perf_counter()
        earlier = self._store.write(predictions, wait=False)
        seconds = time.perf_counter() - begin
        # A thread that had to leave its core to another did not wait for the disk.
        if seconds > _SLOW_SECONDS and getrusage(RUSAGE_THREAD).ru_nvcsw > waits:
            self._not_before = time.monotonic() + _PAUSE_SECONDS
        return earlier, seconds

    def close(self) -> None:
        """Closes the journal."""
        if self._store is not None:
            self._store.close()
            self._store = None
