"""Data versions: content-addressed snapshots of tables, references to them in configs, and what changed between two."""

from features.versions.address import open_store
from features.versions.manifest import ContractVerdict, FileEntry, Manifest
from features.versions.reading import OpenSnapshot, open_snapshot
from features.versions.store import Store
from features.versions.take import Taken, take_snapshot

__all__ = [
    "ContractVerdict",
    "FileEntry",
    "Manifest",
    "OpenSnapshot",
    "Store",
    "Taken",
    "open_snapshot",
    "open_store",
    "take_snapshot",
]
