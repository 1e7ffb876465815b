"""Guarded store: an online store that does not answer is not waited for again and again, but tried by a thread."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from queue import SimpleQueue
from typing import TypeVar

from features.store import OnlineStore, StoreError, open_store
from features.store.protocol import Stored, ViewWriter

Result = TypeVar("Result")
_Call = tuple[Callable[[], object], "Future[object]"]
_log = logging.getLogger("lightning_app.serving")
_AGAIN_SECONDS = 0.5


class GuardedStore:
    """A store whose first failed read marks it as down; from then on reads fail at once, until it answers a thread.

    Requests are prepared on the event loop: without this, every one of them would hold it up for the whole timeout.
    Reads of PostgreSQL run in a thread, because nothing else bounds how long its driver waits for a server that hangs.

    Args:
        url: Address of the store.
        namespace: Project in it.
        timeout: Seconds after which a read is given up.
        may_be_down: Whether it may be down at the start.
        fault: Called before each read, for faults that are injected; None injects none.

    Raises:
        ValueError: The address is of no store.
        StoreError: It cannot be reached, and has to be.
    """

    def __init__(
        self,
        url: str,
        *,
        namespace: str,
        timeout: float,
        may_be_down: bool,
        fault: Callable[[], None] | None = None,
    ) -> None:
        self._address, self._namespace, self._timeout, self._fault = url, namespace, timeout, fault
        self.url = url.rpartition("@")[2]
        self._store: OnlineStore | None = None
        self._marks: dict[tuple[str, str], str] = {}
        self._down: str | None = None
        self._changing = threading.Lock()
        self._bounded = _Bounded(timeout) if url.startswith("postgres") else None
        try:
            self._store = self._open()
        except StoreError as error:
            if not may_be_down:
                raise
            self._went_down(error)

    def mark(self, namespace: str, view: str) -> str | None:
        """The mark of a view as it was last read; None if it never was.

        Args:
            namespace: Project.
            view: Name of the view.
        """
        return self._marks.get((namespace, view))

    def read(self, namespace: str, view: str, keys: Sequence[str]) -> Stored:
        """See `OnlineStore.read`."""
        found = self._asked(lambda store: store.read(namespace, view, keys))
        if found.mark is not None:
            self._marks[namespace, view] = found.mark
        return found

    def marks(self, namespace: str) -> dict[str, str]:
        """See `OnlineStore.marks`."""
        marks = self._asked(lambda store: store.marks(namespace))
        self._marks.update({(namespace, view): mark for view, mark in marks.items()})
        return marks

    def writing(self, namespace: str, view: str) -> AbstractContextManager[ViewWriter]:
        """See `OnlineStore.writing`."""
        raise StoreError(f"store: {self.url}: a server writes nothing to view {view!r} of {namespace!r}")

    def close(self) -> None:
        """Closes connections."""
        if self._store is not None:
            self._store.close()

    def _open(self) -> OnlineStore:
        if self._fault is not None:
            self._fault()
        store = self._called(lambda: open_store(self._address, timeout=self._timeout))
        self.url = store.url
        marks = self._called(lambda: store.marks(self._namespace))
        self._marks.update({(self._namespace, view): mark for view, mark in marks.items()})
        return store

    def _asked(self, function: Callable[[OnlineStore], Result]) -> Result:
        store = self._store
        if self._down is not None or store is None:
            raise StoreError(self._down or f"store: {self.url} is not open")
        try:
            if self._fault is not None:
                self._fault()
            return self._called(lambda: function(store))
        except StoreError as error:
            self._went_down(error)
            raise

    def _called(self, function: Callable[[], Result]) -> Result:
        return function() if self._bounded is None else self._bounded.call(function)

    def _went_down(self, error: StoreError) -> None:
        with self._changing:
            if self._down is not None:
                return
            self._down = str(error)
        _log.error("the online store cannot be read, and is tried every %g s: %s", _AGAIN_SECONDS, error)
        threading.Thread(target=self._try, name="online store", daemon=True).start()

    def _try(self) -> None:
        began = time.monotonic()
        while True:
            time.sleep(_AGAIN_SECONDS)
            try:
                store = self._open()
            except (StoreError, ValueError) as error:
                self._down = str(error)
                continue
            before, self._store = self._store, store
            self._down = None
            _log.warning("the online store answers again, after %.1f s", time.monotonic() - began)
            if before is not None:
                before.close()
            return


class _Bounded:
    """Calls in a daemon thread that are waited for no longer than a time; a thread that hangs is left behind."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._calls: SimpleQueue[_Call | None] | None = None
        self._one_at_a_time = threading.Lock()

    def call(self, function: Callable[[], Result]) -> Result:
        with self._one_at_a_time:
            if self._calls is None:
                self._calls = SimpleQueue()
                threading.Thread(target=_run, args=(self._calls,), name="store calls", daemon=True).start()
            future: Future[object] = Future()
            self._calls.put((function, future))
            try:
                return future.result(2 * self._seconds)  # type: ignore[return-value]
            except TimeoutError as error:
                if future.done():
                    raise
                self._calls.put(None)  # it ends if the call ever does
                self._calls = None
                raise StoreError(f"store: has not answered for {2 * self._seconds:g} s") from error


def _run(calls: "SimpleQueue[_Call | None]") -> None:
    while (call := calls.get()) is not None:
        function, future = call
        try:
            result = function()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)
        del call, function, future
