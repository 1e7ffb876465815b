"""Checkpoint files and whether they hold what was saved: PyTorch reads them without a look at their checksums."""

import zipfile
import zlib
from pathlib import Path


def check_checkpoint(path: str | Path) -> None:
    """Refuses a checkpoint whose bytes are not those that were saved.

    A checkpoint is a zip archive with a CRC-32 of every tensor, which `torch.load` leaves unread: flipped bits would
    become weights. A file in PyTorch's format from before 1.6 has no checksums and passes, as does what is no
    checkpoint at all: `torch.load` says what is wrong with that.

    Args:
        path: The file; a folder (a sharded checkpoint) passes.

    Raises:
        ValueError: A part of it has changed since it was saved.
    """
    path = Path(path)
    if path.is_dir():
        return
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise ValueError(f"{path} is damaged: {error}; take another checkpoint or a copy of it") from error
    if damaged is not None:
        raise ValueError(
            f"{path} is damaged: the checksum of {damaged} is not that of its bytes, which have changed since "
            "they were saved; take another checkpoint or a copy of it"
        )
