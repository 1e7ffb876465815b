"""Artifact root: where a registry stores packages, and whether that place is accessible from here."""

import os
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from lightning_app.errors import UsageError
from lightning_app.registry.storage.address import RegistryAddress

ARTIFACTS = "mlartifacts"
"""Folder of the packages beside a sqlite database."""
VARIABLE = "MLFLOW_DEFAULT_ARTIFACT_ROOT"


def new_root(address: RegistryAddress, requested: str | None) -> str | None:
    """Artifact root for a registry without packages.

    Args:
        address: The registry.
        requested: Folder or URI that the user asks for; None takes `$MLFLOW_DEFAULT_ARTIFACT_ROOT`.

    Returns:
        URI of the root, or None to leave it to the server.

    Raises:
        UsageError: The registry is a database other than sqlite, and no root was named.
    """
    root = requested or os.environ.get(VARIABLE)
    if root:
        return root if _has_scheme(root) else Path(root).resolve().as_uri()
    if address.database is not None:
        return (address.database.parent / ARTIFACTS).as_uri()
    if address.is_server:
        return None
    raise UsageError(
        f"artifacts: a database stores no packages; set --artifacts (or {VARIABLE}) to a folder that all hosts can "
        "read, or a URI like s3://BUCKET/PATH"
    )


def check_root(address: RegistryAddress, root: str, requested: str | None) -> None:
    """Raises unless packages can be stored in the existing artifact root.

    Args:
        address: The registry.
        root: Existing artifact root.
        requested: Root that the user asks for; None accepts any.

    Raises:
        UsageError: The user asks for another root, or the root is a missing folder.
    """
    if requested is not None and _plain(new_root(address, requested) or "") != _plain(root):
        raise UsageError(f"artifacts: {requested} given, but the packages of this registry are in {root}")
    folder = local_folder(root)
    if folder is None or folder.is_dir():
        return
    if address.database is not None and folder == address.database.parent / ARTIFACTS:
        return  # the folder was removed; it is created again
    raise UsageError(
        f"registry: its packages are in {folder}, which does not exist here (another host, or it was moved); make it "
        "available there, or use a new registry"
    )


def local_folder(root: str) -> Path | None:
    """Folder of an artifact root on this machine, None if it is remote.

    Args:
        root: URI or path.
    """
    if not _has_scheme(root):
        return Path(root)
    parts = urlsplit(root)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" and parts.netloc in ("", "localhost") else None


def _has_scheme(root: str) -> bool:
    return len(urlsplit(root).scheme) > 1  # one letter is a Windows drive


def _plain(root: str) -> str:
    folder = local_folder(root)
    return root.rstrip("/") if folder is None else str(folder)
