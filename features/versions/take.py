"""Taking a snapshot: files into the store, then the manifest that names them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.versions.contract_verdict import check_contract
from features.versions.local_store import sha256_of_file
from features.versions.manifest import FileEntry, Manifest, snapshot_id
from features.versions.store import Store, check_name
from features.versions.table_facts import (
    CLOCKS,
    count_rows,
    detect_clocks,
    is_table,
    merge_ranges,
    scan_table,
    unreadable,
)


@dataclass(frozen=True)
class Taken:
    """Result of taking a snapshot.

    Attributes:
        manifest: The snapshot; the one that was there, if `new` is false.
        new: Whether it was not in the store before.
        blobs: Files whose content was written.
        skipped: Files that were left out, because their name begins with a dot.
        name: Its name, with its number under it; None if it has none.
    """

    manifest: Manifest
    new: bool
    blobs: int
    skipped: list[str]
    name: tuple[str, int] | None


def take_snapshot(
    source: str | Path,
    *,
    store: Store,
    name: str | None = None,
    clocks: Mapping[str, str] | None = None,
    parents: Sequence[str] = (),
    query: str | None = None,
    contract: str | Path | None = None,
    code: Mapping[str, Any] | None = None,
) -> Taken:
    """Takes a snapshot of a file or a folder; the same content gives the same id, and is stored once.

    Args:
        source: A table, another file, or a folder of them.
        store: Where to keep it.
        name: Name under which the snapshot is the newest one.
        clocks: Columns of `event_time`, `availability_time` and `load_time`; others are detected.
        parents: Snapshots that this one was made from, see `Store.manifest`.
        query: How it was made from them.
        contract: File of a data contract; its verdict on the tables is recorded, whatever it is.
        code: Versions of the code that takes it.

    Raises:
        FileNotFoundError: The source does not exist.
        ValueError: There is nothing to store, a table cannot be read, or a clock has no column.
    """
    source = Path(source).expanduser()
    name = None if name is None else check_name(name)
    files, skipped = _files(source)
    lineage = [store.manifest(parent).id for parent in parents]
    entries, ranges, given = [], [], {clock: column for clock, column in (clocks or {}).items() if column}
    tables = {path: scan_table(file) for path, file in files.items() if is_table(path)}
    schemas = {path: dict(frame.collect_schema()) for path, frame in tables.items()}
    columns = detect_clocks({column: kind for schema in schemas.values() for column, kind in schema.items()}) | given
    columns = {clock: columns[clock] for clock in CLOCKS if clock in columns}
    for clock, column in given.items():
        if not any(column in schema for schema in schemas.values()):
            known = ", ".join(dict.fromkeys(column for schema in schemas.values() for column in schema)) or "no table"
            raise ValueError(f"{clock}: no column {column!r} in {source}; it has {known}")
    for path, file in files.items():
        entry = FileEntry(path=path, sha256=sha256_of_file(file), bytes=file.stat().st_size)
        if path in tables:
            here = [column for column in columns.values() if column in schemas[path]]
            try:
                rows, ends = count_rows(tables[path], here)
            except Exception as error:
                raise unreadable(file, error) from error
            ranges.append(ends)
            schema = {column: str(kind) for column, kind in schemas[path].items()}
            entry = FileEntry(path=path, sha256=entry.sha256, bytes=entry.bytes, rows=rows, schema=schema)
        entries.append(entry)
    verdict = None if contract is None else check_contract(contract, [files[path] for path in tables])
    clock_ranges = merge_ranges(columns, given, ranges)
    content: dict[str, Any] = {
        "files": entries, "clocks": clock_ranges, "parents": lineage, "query": query, "contract": verdict,
    }  # fmt: skip
    manifest = Manifest(
        id=snapshot_id(**content),
        rows=sum(entry.rows or 0 for entry in entries),
        source=str(source.absolute()),
        code=dict(code or {}),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        **content,
    )
    blobs = sum(store.put_file(files[entry.path], entry) for entry in entries)
    new = store.add(manifest)
    if not new:
        manifest = store.manifest(manifest.id)
    numbered = None if name is None else (name, store.name(name, manifest.id))
    return Taken(manifest=manifest, new=new, blobs=blobs, skipped=skipped, name=numbered)


def _files(source: Path) -> tuple[dict[str, Path], list[str]]:
    """Files by their path inside the snapshot, sorted; and what is left out."""
    if source.is_file():
        if source.stat().st_size == 0:
            raise ValueError(f"{source} is empty: there is nothing to take a snapshot of")
        found, skipped = {source.name: source}, []
    elif source.is_dir():
        if (source / "_delta_log").is_dir():
            raise ValueError(f"{source} is a Delta table, which keeps its versions itself: name one as {source}@v0")
        everything = {
            path.relative_to(source).as_posix(): path for path in sorted(source.rglob("*")) if not path.is_dir()
        }
        hidden = {path for path in everything if any(part.startswith(".") for part in path.split("/"))}
        found, skipped = {path: file for path, file in everything.items() if path not in hidden}, sorted(hidden)
        if not found:
            raise ValueError(f"{source} holds no files: there is nothing to take a snapshot of")
    else:
        raise FileNotFoundError(f"{source} does not exist")
    for path, file in found.items():
        if not path.isprintable():
            raise ValueError(f"{source}: the file name {path!r} is not printable UTF-8; rename it")
        if not file.is_file():
            raise ValueError(f"{file} is a broken link or not a file; remove it from {source}")
    return found, skipped
