"""Atomic writes: a reader sees the old file or the new one, never a part.

Folders are replaced by `packaging.format.writer`, the parts of a scoring job by `scoring.parts`. Packages below this
one cannot import it and have one writer each: `callbacks.checkpoint_io`, `datamodules.sources`, `models.graph.export`.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning_app.errors.full_disk import names_full_disk


@contextmanager
def replacing(path: Path, *, size: int | None = None, durable: bool = False) -> Iterator[Path]:
    """A file beside `path` to write to, which takes its place at the end of the block, or is removed on an error.

    Args:
        path: The file that readers know.
        size: Bytes that it needs, where that is known; an error of a full disk names them.
        durable: Force the content to the disk before the file takes its place.

    Raises:
        OSError: There is no room; it names `path`.
    """
    partial = path.with_name(f".{secrets.token_hex(4)}.{path.name}")  # libraries go by the suffix
    try:
        with names_full_disk(path, size):
            yield partial
            if durable:
                sync_file(partial)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(path)


def write_whole(path: Path, text: str) -> None:
    """Writes a text file.

    Args:
        path: The file.
        text: Its content, written as UTF-8.
    """
    data = text.encode()
    with replacing(path, size=len(data)) as partial:
        partial.write_bytes(data)


def sync_file(path: Path) -> None:
    """Forces the content of a file to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Forces the names in a folder to the disk, so that a rename survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
