"""Registry lock: one process per machine changes a model at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lightning_app.errors import UsageError
from lightning_app.registry.storage.errors import PromotionConflictError


@contextmanager
def exclusive(folder: Path, name: str, *, wait: float) -> Iterator[None]:
    """Holds a lock that the operating system releases when the process ends.

    The lock lets the second of two processes on a machine fail at once; between machines, the journal decides.

    Args:
        folder: Folder of the lock file.
        name: Name of the lock.
        wait: Seconds to wait for another process.

    Raises:
        PromotionConflictError: Another process holds the lock.
        UsageError: The folder is not writable.
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
