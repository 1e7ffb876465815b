"""Place of an output: apart from the tables that it is made of."""

import glob
import os
from fnmatch import fnmatch
from pathlib import Path

from lightning_app.errors import UsageError
from lightning_app.scoring.tables import TableFiles


def check_apart(path: Path, files: TableFiles) -> None:
    """Raises unless a file that is to be written is none of the tables, nor becomes one when they are listed again.

    Args:
        path: What is to be written.
        files: The tables.

    Raises:
        UsageError: It is one of them, by any name or link; or it would lie in a folder, or fit a pattern, of theirs.
    """
    for table in files.paths:
        if path.exists() and path.samefile(table):
            raise UsageError(f"output: {path} is the table {table}, which would be lost; give another output")
    for given in files.given:
        if _will_hold(given, path):
            raise UsageError(
                f"output: {path} would be one of the tables in {given} the next time; give a place outside of it"
            )


def _will_hold(given: str, path: Path) -> bool:
    if not path.parent.exists() or Path(given).is_file():
        return False
    if Path(given).is_dir():
        return path.parent.samefile(given)
    folder, pattern = os.path.split(given)
    folders = glob.glob(folder) if folder else ["."]  # noqa: PTH207  # absolute ones too
    return fnmatch(path.name, pattern) and any(path.parent.samefile(found) for found in folders)
