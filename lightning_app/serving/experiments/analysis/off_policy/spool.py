"""Spool: arrays in a temporary file, written once and read once, so that a second pass needs no memory."""

import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import numpy as np


class Spool:
    """Parts of several arrays each, in their order."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by __exit__
        self._sizes: list[int] = []

    def __enter__(self) -> "Spool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, *arrays: np.ndarray) -> None:
        """Appends a part.

        Args:
            arrays: Its arrays.
        """
        for array in arrays:
            np.save(self._file, array, allow_pickle=False)
        self._sizes.append(len(arrays))

    def read(self) -> Iterator[tuple[Any, ...]]:
        """All parts, from the first one.

        Yields:
            The arrays of a part.
        """
        self._file.seek(0)
        for size in self._sizes:
            yield tuple(np.load(self._file, allow_pickle=False) for _ in range(size))
