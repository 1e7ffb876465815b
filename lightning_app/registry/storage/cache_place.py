"""Cache place: where the local copy of a registry lies."""

import os
from pathlib import Path

from lightning_app.registry.storage.address import RegistryAddress


def cache_root(root: Path | None = None) -> Path:
    """Cache folder of this machine.

    Args:
        root: The folder; None takes `$LIGHTNING_APP_CACHE`, else `~/.cache/lightning-app`.
    """
    configured = os.environ.get("LIGHTNING_APP_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lightning-app"
    return (root or (Path(configured) if configured else home)).resolve()


def registry_folder(root: Path, address: RegistryAddress) -> Path:
    """Folder with the last known state of the models of a registry.

    Args:
        root: Cache folder.
        address: Address of the registry.
    """
    return root / "registries" / address.key


def snapshot_file(folder: Path, name: str) -> Path:
    """File with the last known state of a model.

    Args:
        folder: Folder of the registry.
        name: Name of the model.
    """
    return folder / f"{name}.json"
