"""References in data paths: `snapshot:NAME@ID/FILE` and `path/of/a/delta/table@v3`, resolved in one place."""

import os
from pathlib import Path
from typing import Any

import polars as pl

from features.delta_table import delta_facts, delta_path, is_delta, read_delta, split_version
from features.versions.reading import OpenSnapshot, open_snapshot
from features.versions.table_facts import is_table, scan_table

PREFIX = "snapshot:"


def is_reference(path: str | Path) -> bool:
    """Whether a data path names a snapshot."""
    return str(path).startswith(PREFIX)


def referenced_file(path: str | Path) -> Path:
    """Local file, or versioned Delta table, that a data path stands for; other paths stay as they are.

    Args:
        path: A path, or `snapshot:NAME`, `snapshot:NAME@ID` or `snapshot:ID`, with `/FILE` if the snapshot has several
            files. The store is `$LIGHTNING_APP_SNAPSHOTS`, else `./snapshots`.

    Raises:
        ValueError: The store has no such snapshot or file, or its content was changed.
    """
    if is_reference(path):
        snapshot, file = _opened(path)
        return snapshot.path(file)
    return delta_path(path) if is_delta(path) else Path(path)


def referenced_tables(path: str | Path) -> list[Path]:
    """Local files of all tables of a snapshot, or of the one that the reference names; see `referenced_file`."""
    snapshot, file = _opened(path)
    if file is not None:
        return [snapshot.path(file)]
    tables = [entry.path for entry in snapshot.manifest.files if is_table(entry.path)]
    if not tables:
        raise ValueError(f"{path}: the snapshot has no CSV or parquet file")
    return [snapshot.path(table) for table in tables]


def pinned(path: str) -> str:
    """A data path that means the same data later on: snapshots with an id, Delta tables with a version.

    Args:
        path: Any data path; one that is neither is returned as it is.
    """
    if is_reference(path):
        snapshot, file = _opened(path)
        name, _, inside = path.removeprefix(PREFIX).partition("/")
        name = name.partition("@")[0]
        named = f"{name}@{snapshot.id[:12]}" if snapshot.store.named(name) else snapshot.id[:12]
        return f"{PREFIX}{named}/{inside}" if file else f"{PREFIX}{named}"
    return str(delta_path(path).absolute()) if is_delta(path) else path


def reference_facts(path: str | Path) -> tuple[str, dict[str, Any]] | None:
    """What a lineage records of a snapshot or Delta table, with the name it is recorded under; None for other paths."""
    if is_reference(path):
        snapshot, file = _opened(path)
        entry = snapshot.entry(file)
        facts = {"sha256": entry.sha256, "bytes": entry.bytes, "snapshot": snapshot.id, "store": snapshot.store.address}
        return pinned(str(path)), facts
    return (str(delta_path(path).absolute()), delta_facts(path)) if is_delta(path) else None


def scan_data(path: str | Path, *, store: str | Path | None = None) -> pl.LazyFrame:
    """Scans a table, a folder of tables with the same columns, a Delta table or a snapshot.

    Args:
        path: A path, a reference, or the name or id of a snapshot where no such path exists.
        store: Store of the snapshots, see `open_store`.

    Raises:
        FileNotFoundError: There is neither a file nor a snapshot.
        ValueError: It is not a table.
    """
    if is_reference(path):
        snapshot, file = _opened(path, store)
        return snapshot.scan(file)
    if is_delta(path):
        return read_delta(path).lazy()
    place = split_version(path)[0] if not Path(path).expanduser().exists() else Path(path).expanduser()
    if place.is_dir():
        tables = [file for file in sorted(place.rglob("*")) if file.is_file() and is_table(file)]
        if not tables:
            raise ValueError(f"{place} holds no CSV or parquet file")
        return _below_each_other([scan_table(file) for file in tables], place)
    if place.is_file():
        return scan_table(place)
    try:
        snapshot, file = _opened(f"{PREFIX}{path}", store)
    except ValueError as error:
        raise FileNotFoundError(f"{path} is neither a file or folder nor a snapshot: {error}") from error
    return snapshot.scan(file)


def _below_each_other(frames: list[pl.LazyFrame], place: Path) -> pl.LazyFrame:
    if any(frame.collect_schema() != frames[0].collect_schema() for frame in frames):
        raise ValueError(f"{place}: its tables have different columns or types; name one file")
    return pl.concat(frames)


def _opened(path: str | Path, store: str | Path | None = None) -> tuple[OpenSnapshot, str | None]:
    """The snapshot of a reference, and the file inside it."""
    name, _, file = os.fspath(path).removeprefix(PREFIX).partition("/")
    try:
        return open_snapshot(name, store), file or None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
