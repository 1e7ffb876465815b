"""SpillCount: how many records wait in the spill files of all processes that share a folder, dead ones too."""

import mmap
import os
from collections.abc import Collection
from pathlib import Path

from lightning_app.serving.journal.spill.records import MAGIC, end_of
from lightning_app.serving.journal.spill.replay import waiting_files


class SpillCount:
    """Counts records by their lengths, each file from where it ended the last time.

    Args:
        folder: Folder of the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._counted: dict[Path, tuple[int, int]] = {}

    def count(self, without: Collection[Path]) -> int:
        """Number of records in files that are not replayed yet; reads what was appended, and may take a while.

        Args:
            without: Files that are not counted.
        """
        counted: dict[Path, tuple[int, int]] = {}
        for path in waiting_files(self._folder):
            if path not in without:
                counted[path] = _count(path, *self._counted.get(path, (0, len(MAGIC))))
        self._counted = counted
        return sum(number for number, _ in counted.values())


def _count(path: Path, number: int, begin: int) -> tuple[int, int]:
    """Number of records, and where the last whole one ends."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return number, begin  # it was replayed
    try:
        if os.fstat(descriptor).st_size <= begin:
            return number, begin
        with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data:
            while (end := end_of(data, begin)) is not None:
                number, begin = number + 1, end
    finally:
        os.close(descriptor)
    return number, begin
