"""Artifact root: where the packages of a registry lie, and whether that can be seen from here."""

import os
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from lightning_app.errors import UsageError
from lightning_app.registry.storage.address import RegistryAddress

ARTIFACTS = "mlartifacts"
"""Folder of the packages, beside a sqlite database."""
VARIABLE = "MLFLOW_DEFAULT_ARTIFACT_ROOT"


def new_root(address: RegistryAddress, given: str | None) -> str | None:
    """Where a registry without packages keeps them, as a URI; None leaves it to the server.

    Args:
        address: The registry.
        given: What the user says: a folder or a URI; None takes `$MLFLOW_DEFAULT_ARTIFACT_ROOT`.

    Raises:
        UsageError: A database is the registry, and nobody said where.
    """
    place = given or os.environ.get(VARIABLE)
    if place:
        return place if _has_scheme(place) else Path(place).resolve().as_uri()
    if address.database is not None:
        return (address.database.parent / ARTIFACTS).as_uri()
    if address.is_server:
        return None
    raise UsageError(
        f"artifacts: a database holds no packages; say with --artifacts (or {VARIABLE}) where they go: a folder that "
        "all hosts see, or a URI like s3://BUCKET/PATH"
    )


def check_root(address: RegistryAddress, root: str, given: str | None) -> None:
    """Raises unless packages can be kept where those that are registered lie.

    Args:
        address: The registry.
        root: Where its packages lie.
        given: Where the user wants them; None wants nothing.

    Raises:
        UsageError: The user wants another place, or the place is a folder that is not there.
    """
    if given is not None and _plain(new_root(address, given) or "") != _plain(root):
        raise UsageError(f"artifacts: {given} given, but the packages of this registry lie in {root}")
    folder = local_folder(root)
    if folder is None or folder.is_dir():
        return
    if address.database is not None and folder == address.database.parent / ARTIFACTS:
        return  # it was removed, and is made again
    raise UsageError(
        f"registry: its packages lie in {folder}, which is not there (another host, or it was moved); bring it there, "
        "or take a new registry"
    )


def local_folder(root: str) -> Path | None:
    """The folder of a root on this machine, None where it is elsewhere.

    Args:
        root: A URI, or a path.
    """
    if not _has_scheme(root):
        return Path(root)
    parts = urlsplit(root)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" and parts.netloc in ("", "localhost") else None


def _has_scheme(place: str) -> bool:
    return len(urlsplit(place).scheme) > 1


def _plain(root: str) -> str:
    folder = local_folder(root)
    return root.rstrip("/") if folder is None else str(folder)
