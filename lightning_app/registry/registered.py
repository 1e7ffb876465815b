"""Registered versions as the registry returns them."""

from dataclasses import dataclass
from pathlib import Path

from lightning_app.registry.storage.version_record import VersionRecord


@dataclass(frozen=True)
class ResolvedModel:
    """A version whose verified package is on this machine.

    Attributes:
        name: Name of the model.
        version: Number of the version; None for a folder that was not resolved through a registry.
        path: Folder of the package.
        aliases: Aliases of the version.
        digest: Digest of the package as the registry states it; None for a folder.
    """

    name: str
    version: int | None
    path: Path
    aliases: tuple[str, ...]
    digest: str | None = None


@dataclass(frozen=True)
class Version:
    """A registered version with its current aliases.

    Attributes:
        record: What was registered.
        aliases: Current aliases.
    """

    record: VersionRecord
    aliases: tuple[str, ...]
