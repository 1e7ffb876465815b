"""Reading a snapshot back: verified local files, and its tables as one lazy frame."""

from pathlib import Path

import polars as pl

from features.versions.address import open_store
from features.versions.manifest import FileEntry, Manifest
from features.versions.store import Store
from features.versions.table_facts import is_table, scan_table


class OpenSnapshot:
    """A snapshot whose files are verified against their checksums when they are asked for.

    Args:
        manifest: Its manifest.
        store: Store that holds it.
    """

    def __init__(self, *, manifest: Manifest, store: Store) -> None:
        self.manifest = manifest
        self.store = store

    @property
    def id(self) -> str:
        """Its id."""
        return self.manifest.id

    def paths(self) -> dict[str, Path]:
        """Local file of each path of the snapshot.

        Raises:
            ValueError: The content of a file was changed.
        """
        return {entry.path: self.store.local_file(entry) for entry in self.manifest.files}

    def path(self, file: str | None = None) -> Path:
        """Local file of one path.

        Args:
            file: Path inside the snapshot; None if it has one file only.

        Raises:
            ValueError: It has no such file, or several; or the content was changed.
        """
        return self.store.local_file(self.entry(file))

    def entry(self, file: str | None = None) -> FileEntry:
        """Entry of one path; see `path`."""
        files = {entry.path: entry for entry in self.manifest.files}
        if file is None and len(files) == 1:
            return self.manifest.files[0]
        if file not in files:
            some = ", ".join(list(files)[:10]) + (f" and {len(files) - 10} more" if len(files) > 10 else "")
            asked = "names no file of several" if file is None else f"has no file {file!r}"
            raise ValueError(f"snapshot {self.id[:12]} {asked}; write snapshot:{self.id[:12]}/FILE; it has {some}")
        return files[file]

    def scan(self, file: str | None = None) -> pl.LazyFrame:
        """Its table, or all its tables below each other if they have the same columns and types.

        Args:
            file: Path inside the snapshot; None for all tables.

        Raises:
            ValueError: It has no table, or tables of different columns; or the content was changed.
        """
        if file is not None:
            return scan_table(self.path(file))
        tables = [entry for entry in self.manifest.files if is_table(entry.path)]
        if not tables:
            raise ValueError(f"snapshot {self.id[:12]} has no table, only {self.manifest.files[0].path!r} and the like")
        if self.manifest.schema is None:
            self.entry(None)
        return pl.concat([scan_table(self.store.local_file(entry)) for entry in tables])


def open_snapshot(reference: str, store: Store | str | Path | None = None) -> OpenSnapshot:
    """Opens a snapshot.

    Args:
        reference: `NAME` (the newest of that name), `NAME@ID`, or `ID`; an id may be cut to 6 or more digits.
        store: The store or its address; None for the default, see `open_store`.

    Raises:
        ValueError: The store has no such snapshot, or its manifest was changed.
    """
    opened = store if isinstance(store, Store) else open_store(store)
    return OpenSnapshot(manifest=opened.manifest(reference), store=opened)
