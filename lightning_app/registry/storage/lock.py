"""One process of a machine at a time changes a model."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lightning_app.errors import UsageError
from lightning_app.registry.storage.errors import PromotionConflictError


@contextmanager
def changing(folder: Path, name: str, *, wait: float) -> Iterator[None]:
    """Holds a lock that goes with the process, however it ends.

    It tells the second of two processes at once that it is the second; what keeps two machines apart is the journal.

    Args:
        folder: Where the lock's file lies.
        name: What is locked.
        wait: Seconds to wait for another process.

    Raises:
        PromotionConflictError: Another process holds it.
        UsageError: The folder cannot be written.
    """
    lock = FileLock(folder / f".{name}.lock", timeout=wait)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise PromotionConflictError(f"{name}: another process changes it at this moment; try again") from error
    except OSError as error:
        raise UsageError(f"registry: {folder} cannot be written: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()
