"""Address of a store: a folder, or an S3-compatible one."""

import os
from pathlib import Path

from features.versions.local_store import LocalStore
from features.versions.s3_store import S3Store
from features.versions.store import Store

STORE_VARIABLE = "LIGHTNING_APP_SNAPSHOTS"


def open_store(address: str | Path | None = None) -> Store:
    """Opens a store; nothing is created before something is written.

    Args:
        address: Folder, or `s3://bucket/prefix` (extra `s3`, settings from the AWS_* variables); None for
            `$LIGHTNING_APP_SNAPSHOTS`, else `./snapshots`.

    Raises:
        ValueError: The address has another scheme, or the extra is missing.
    """
    text = str(address or os.environ.get(STORE_VARIABLE) or "snapshots")
    scheme, separator, _ = text.partition("://")
    if not separator:
        return LocalStore(Path(text).expanduser())
    if scheme != "s3":
        raise ValueError(f"store {text!r}: scheme {scheme!r}, allowed: a folder, or s3://bucket/prefix")
    return S3Store(text)
