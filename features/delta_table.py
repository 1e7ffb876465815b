"""Delta tables: read at a version through deltalake (extra `delta`), named as `path@v3`."""

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from deltalake import DeltaTable

_VERSIONED = re.compile(r"(.+)@v(\d+)")


def split_version(path: str | Path) -> tuple[Path, int | None]:
    """Folder and version of `path@v3`; no version if the path has none, or if a file of that name exists."""
    whole = Path(path).expanduser()
    versioned = _VERSIONED.fullmatch(str(whole))
    if versioned is None or whole.exists():
        return whole, None
    return Path(versioned[1]), int(versioned[2])


def is_delta(path: str | Path) -> bool:
    """Whether a path, with or without a version, is a Delta table."""
    return (split_version(path)[0] / "_delta_log").is_dir()


def delta_path(path: str | Path) -> Path:
    """Path of a Delta table with its version; the present one if the path names none.

    Raises:
        ValueError: There is no such version, or the extra is missing.
    """
    table = _table(path)
    folder, _ = split_version(path)
    return folder.with_name(f"{folder.name}@v{table.version()}")


def read_delta(path: str | Path) -> pl.DataFrame:
    """Reads a whole Delta table; see `delta_path`. Its rows are in no order."""
    table = _table(path)
    from deltalake import QueryBuilder

    # pl.scan_delta of polars 2.1 does not find files below a folder or partition with a name that is not ASCII.
    return pl.DataFrame(QueryBuilder().register("data", table).execute("select * from data").read_all())


def delta_facts(path: str | Path) -> dict[str, str | int]:
    """Version, size, and a checksum of which files make up the table at that version."""
    table = _table(path)
    actions = pl.DataFrame(table.get_add_actions(flatten=True)).select("path", "size_bytes").sort("path")
    digest = hashlib.sha256("\n".join(f"{name} {size}" for name, size in actions.rows()).encode())
    return {
        "sha256": digest.hexdigest(),
        "bytes": int(actions["size_bytes"].sum() or 0),
        "delta_version": table.version(),
    }


def _table(path: str | Path) -> "DeltaTable":
    try:
        from deltalake import DeltaTable
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{path} is a Delta table, which needs the extra delta: pip install 'lightning-r2p[delta]'"
        ) from error
    folder, version = split_version(path)
    try:
        newest = DeltaTable(str(folder))
        if version is None or version == newest.version():
            return newest
        last = newest.version()
        if version < last:
            return DeltaTable(str(folder), version=version)
    except Exception as error:
        raise ValueError(f"{path} cannot be read as a Delta table: {str(error).splitlines()[0]}") from error
    raise ValueError(f"{path}: the Delta table has no version {version}, its newest is {last}")
