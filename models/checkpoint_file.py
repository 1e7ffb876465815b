"""Checkpoint integrity: verifies the checksums that `torch.load` does not read."""

import zipfile
import zlib
from pathlib import Path


def check_checkpoint(path: str | Path) -> None:
    """Raises if a checkpoint's bytes changed since it was saved.

    A checkpoint is a zip archive with a CRC-32 per tensor, which `torch.load` ignores: flipped bits would become
    weights. Files in the format of PyTorch before 1.6 have no checksums and pass, as do files that are not checkpoints;
    `torch.load` reports those.

    Args:
        path: File; a folder (a sharded checkpoint) passes.

    Raises:
        ValueError: A checksum does not match.
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
