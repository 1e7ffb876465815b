"""File state: tells whether a file was replaced."""

from contextlib import suppress
from pathlib import Path


def file_state(path: Path) -> tuple[int, int] | None:
    """Time of the last change and size of a file; None if there is none.

    Args:
        path: The file.
    """
    with suppress(OSError):
        status = path.stat()
        return status.st_mtime_ns, status.st_size
    return None
