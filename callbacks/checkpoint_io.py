"""DurableCheckpointIO: checkpoint files are written whole or not at all."""

import errno
import os
import secrets
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from torch.utils._pytree import tree_leaves
from torch.utils.serialization import config
from typing_extensions import override

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DurableCheckpointIO(TorchCheckpointIO):
    """Writes to a temporary file, forces it to disk, then renames it over the old one.

    A crash, a full disk or a power cut while saving leaves the checkpoint that was there before.
    """

    @override
    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        if "://" in str(path):  # an object store: a put is whole or not there
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            # Checksums are what a later load is checked by: also where somebody has switched them off.
            with partial.open("xb") as file, config.patch({"save.compute_crc32": True}):  # type: ignore[attr-defined]
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
        except BaseException as error:
            partial.unlink(missing_ok=True)
            _name_full_disk(error, path, checkpoint)
            raise
        partial.replace(path)
        _sync_folder(path.parent)


def _name_full_disk(error: BaseException, path: Path, checkpoint: dict[str, Any]) -> None:
    """Raises one that names the file: torch tells of positions in it, and writing to an open file of no name."""
    found: BaseException | None = error
    seen: set[int] = set()  # a library may make an error its own cause
    while found is not None and id(found) not in seen and not (isinstance(found, OSError) and found.errno in _FULL):
        seen.add(id(found))
        found = found.__cause__ or found.__context__
    if isinstance(found, OSError) and found.errno in _FULL:
        leaves = tree_leaves(checkpoint)
        size = sum(leaf.nbytes for leaf in leaves if isinstance(leaf, torch.Tensor))
        raise OSError(found.errno, f"{found.strerror}; its tensors need {size:,} bytes", str(path)) from error


def _sync_folder(folder: Path) -> None:
    """Makes a rename survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
