"""Output of the commands that build: progress on stderr, and what was built."""

import sys
import time
from pathlib import Path

from lightning_app.retrieval.build_index import BuiltIndex
from lightning_app.terminal import plain, print_json

_SECONDS = 5.0


class EmbeddingProgress:
    """Prints a line every few seconds.

    Args:
        num_rows: Rows to embed.
    """

    def __init__(self, num_rows: int) -> None:
        self.num_rows = num_rows
        self._next = time.monotonic() + _SECONDS

    def __call__(self, num_done: int) -> None:
        """Prints the progress if enough time has passed.

        Args:
            num_done: Embedded rows.
        """
        if (now := time.monotonic()) >= self._next:
            self._next = now + _SECONDS
            print(f"{num_done:,} of {self.num_rows:,} rows embedded", file=sys.stderr, flush=True)  # noqa: T201


def show_built(built: BuiltIndex, folder: Path, *, as_json: bool) -> None:
    """Prints the result of a build.

    Args:
        built: The result.
        folder: Folder of the index.
        as_json: As JSON.
    """
    manifest = built.manifest
    if as_json:
        counts = {"rows": manifest.rows, "added": built.added, "missing": built.missing, "resumed": built.resumed}
        print_json({"index": str(folder), **counts, "size": manifest.size, "notes": list(built.notes)})
        return
    for note in built.notes:
        print(plain(note))  # noqa: T201
    if built.missing:
        print(f"left out: {built.missing:,} rows without a value in {plain(manifest.column)!r}")  # noqa: T201
    if built.resumed:
        print(f"resumed: {built.resumed:,} rows were embedded by an earlier run")  # noqa: T201
    print(plain(f"index: {folder} ({manifest.rows:,} rows x {manifest.size}, {manifest.engine})"))  # noqa: T201
