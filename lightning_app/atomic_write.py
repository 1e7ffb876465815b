"""Atomic file writes: a reader sees the old content or the new content, never a mixture.

Folders are replaced as a whole by `replace_folder`, the parts of a scoring job by `scoring.parts`. Packages below this
one cannot import it and have one writer each: `callbacks.checkpoint_io`, `datamodules.sources`, `models.graph.export`.
"""

import ctypes
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning_app.errors.full_disk import names_full_disk

_EXCHANGE = 2  # RENAME_EXCHANGE of linux/fs.h
_CURRENT = -100  # AT_FDCWD


@contextmanager
def replacing(path: Path, *, size: int | None = None, durable: bool = False) -> Iterator[Path]:
    """Yields a temporary path beside `path`, which replaces it at the end of the block, or is removed on an error.

    Args:
        path: File to replace.
        size: Size of the new content in bytes, if known; named in errors of a full disk.
        durable: Whether to sync the content to disk before the file is replaced.

    Raises:
        OSError: The disk is full; the error names `path`.
    """
    partial = path.with_name(f".{secrets.token_hex(4)}.{path.name}")  # same suffix: libraries infer the format from it
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
    """Replaces a text file.

    Args:
        path: File to write.
        text: New content, encoded as UTF-8.
    """
    data = text.encode()
    with replacing(path, size=len(data)) as partial:
        partial.write_bytes(data)


def sync_file(path: Path) -> None:
    """Syncs the content of a file to disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Syncs the entries of a folder to disk, so that a rename survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_folder(new: Path, target: Path) -> None:
    """Puts a finished folder in the place of another, atomically where the system supports it.

    Args:
        new: The finished folder, beside `target`; afterwards it is gone, or holds what `target` held before.
        target: Where the folder goes, with or without a folder there.
    """
    if target.exists():
        _exchange(new, target)
    else:
        new.rename(target)
    sync_folder(target.parent)


def _exchange(new: Path, old: Path) -> None:
    """Swaps two folders."""
    library = ctypes.CDLL(None, use_errno=True)
    if hasattr(library, "renameat2"):
        code = library.renameat2(_CURRENT, os.fsencode(new), _CURRENT, os.fsencode(old), _EXCHANGE)
        if code == 0:
            return
    aside = new.with_name(f"{new.name}.old")
    old.rename(aside)
    new.rename(old)
    aside.rename(new)
