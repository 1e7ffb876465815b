"""Tick lease: one tick of a model at a time, on one machine and across machines.

On one machine a file is locked, which the kernel gives free when its holder dies: the next tick goes on at once. Across
machines a lease in the database is held, which is prolonged beside long steps and expires when the machine dies.
"""

import logging
import secrets
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from lightning_app.serving.experiments.store import Lease
from lightning_app.serving.journal.errors import JournalError
from lightning_app.serving.journal.stores import open_database
from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.journal.stores.file_lock import FileLock

_log = logging.getLogger("lightning_app.retraining")
_SECONDS = 120.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class AnotherTickError(Exception):
    """Another tick of the model is running."""


class TickLease:
    """A lease that is being prolonged.

    Args:
        lease: The lease.
        fence: Its fence.
    """

    def __init__(self, lease: Lease, fence: int) -> None:
        self._lease, self.fence = lease, fence

    def confirm(self) -> bool:
        """Whether nobody else has taken the lease; until the end of the present transaction nobody can.

        Raises:
            JournalError: The journal cannot be written.
        """
        return self._lease.confirm()


@contextmanager
def tick_lease(database: JournalDatabase, *, url: str, model: str, folder: Path) -> Iterator[TickLease]:
    """Holds the lease of a model, and prolongs it until the end of the block.

    Args:
        database: Database of the journal.
        url: Its address, for a connection that prolongs the lease.
        model: Name of the model.
        folder: Folder of the model's cycles.

    Yields:
        The lease.

    Raises:
        AnotherTickError: Another tick holds it.
        JournalError: The journal cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with closing(FileLock(folder / "tick.lock")) as lock:
        if not lock.acquire(seconds=0):
            raise AnotherTickError("another tick is running on this machine")
        name, holder = f"retrain:{model}", _holder(folder / "tick.holder")
        lease = Lease(database, name=name, holder=holder, seconds=_SECONDS)
        fence = lease.hold()
        if fence is None:
            raise AnotherTickError("another tick is running on another machine")
        ended = threading.Event()
        thread = threading.Thread(target=_prolong, args=(url, name, holder, ended), daemon=True)
        thread.start()
        try:
            yield TickLease(lease, fence)
        finally:
            ended.set()
            thread.join()
            with suppress(JournalError):  # it expires by itself, and the next tick of this machine need not wait
                lease.release()


def _holder(path: Path) -> str:
    """Name of all ticks that lock the same file of the same machine: of these, the one that has the lock is alive."""
    machine = _BOOT_ID.read_text().strip() if _BOOT_ID.is_file() else secrets.token_hex(8)
    try:
        token = path.read_text()
    except FileNotFoundError:
        token = ""
    if not token:
        token = secrets.token_hex(8)
        path.write_text(token)
    return f"{machine}:{token}"


def _prolong(url: str, name: str, holder: str, ended: threading.Event) -> None:
    while not ended.wait(_SECONDS / 4):
        try:
            with closing(open_database(url)) as database:
                Lease(database, name=name, holder=holder, seconds=_SECONDS).hold()
        except JournalError as error:  # the next change confirms the lease, and fails if it was lost
            _log.warning("the lease cannot be prolonged: %s", error)
