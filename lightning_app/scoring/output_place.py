"""Output path check: the output must not be, or become, one of the input tables."""

import glob
import os
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from lightning_app.errors import UsageError


def check_apart(path: Path, *, sources: Sequence[str], tables: Sequence[Path]) -> None:
    """Raises if a file to write is one of the tables, or would match their folders or patterns in the next run.

    Args:
        path: File to write.
        sources: Files, folders and patterns as the user named them.
        tables: The files that they stand for.

    Raises:
        UsageError: The file is one of the tables, by any name or link, or is in a folder or matches a pattern of
            theirs.
    """
    for table in tables:
        if path.exists() and path.samefile(table):
            raise UsageError(f"output: {path} is the table {table}, which would be lost; give another output")
    for source in sources:
        if _would_contain(source, path):
            raise UsageError(
                f"output: {path} would be one of the tables in {source} in the next run; give a path outside of it"
            )


def _would_contain(source: str, path: Path) -> bool:
    if not path.parent.exists() or Path(source).is_file():
        return False
    if Path(source).is_dir():
        return path.parent.samefile(source)
    folder, pattern = os.path.split(source)
    folders = glob.glob(folder) if folder else ["."]  # noqa: PTH207  # pathlib globs no absolute patterns
    return fnmatch(path.name, pattern) and any(path.parent.samefile(match) for match in folders)
