"""Atomic writes: a reader sees the old file or the new one, never a part."""

import secrets
from pathlib import Path

from lightning_app.errors.full_disk import names_full_disk


def write_whole(path: Path, text: str) -> None:
    """Writes a text file so that a reader sees the old one or the new one, never a part."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    data = text.encode()
    try:
        with names_full_disk(path, len(data)):
            partial.write_bytes(data)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(path)
