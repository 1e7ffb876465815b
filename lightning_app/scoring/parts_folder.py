"""Parts folder: hidden folder beside an output that holds its parts, the identity of their job, and the lock."""

import json
import secrets
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning_app.atomic_write import write_whole
from lightning_app.runs.output_lock import OutputLock

_NAME = "part-{first:012d}-{after:012d}.parquet"
_STATE, _LOCK = "job.json", "lock"


class PartsFolder:
    """The locked folder; if the process is killed, the folder stays and the lock is released.

    Args:
        output: Output file.

    Attributes:
        path: The folder.

    Raises:
        UsageError: Another job holds the lock.
    """

    def __init__(self, output: Path) -> None:
        self.path = output.with_name(f".{output.name}.parts")
        self._lock = OutputLock(self.path / _LOCK, output=output)
        for leftover in self.path.parent.glob(f"{self.path.name}.done-*"):  # of a job that was killed at its end
            shutil.rmtree(leftover, ignore_errors=True)

    def kept_job(self) -> dict[str, Any] | None:
        """Identity of the job that wrote the existing parts; None if there is none."""
        try:
            return dict(json.loads((self.path / _STATE).read_text()))
        except FileNotFoundError:
            return None

    def begin(self, job: Mapping[str, Any]) -> None:
        """Removes existing parts, and records the job that writes the next ones.

        Args:
            job: Identity and start of the job.
        """
        (self.path / _STATE).unlink(missing_ok=True)  # first: parts without it are never resumed
        _remove(path for path in self.path.iterdir() if path.name != _LOCK)
        write_whole(self.path / _STATE, json.dumps(job))

    def num_done(self) -> int:
        """Number of rows in the parts without a gap; removes parts after a gap and incomplete files."""
        _remove(self.path.glob(".*"))
        done = 0
        for path in self.parts("part"):
            first, after = _rows_of(path)
            if first == done:
                done = after
            else:
                path.unlink()
        _remove(path for path in self.parts("rejected") if _rows_of(path)[1] > done)
        return done

    def parts(self, kind: str) -> list[Path]:
        """Complete parts in the order of their rows.

        Args:
            kind: `part` or `rejected`.
        """
        return sorted(self.path.glob("part-*.parquet" if kind == "part" else "rejected-part-*.parquet"))

    def complete(self, kind: str, *, first: int, after: int) -> Path:
        """Path of a complete part.

        Args:
            kind: `part` or `rejected`.
            first: Number of its first row.
            after: Number of the row after its last.
        """
        name = _NAME.format(first=first, after=after)
        return self.path / (name if kind == "part" else f"{kind}-{name}")

    def partial(self, name: str) -> Path:
        """Path of a file that is being written.

        Args:
            name: Kind of the file.
        """
        return self.path / f".{name}.parquet"

    def discard(self) -> None:
        """Removes the folder; renamed first, because a half-removed folder could pass for that of another job.

        The lock is held until `leave`, in the renamed folder.
        """
        done = self.path.with_name(f"{self.path.name}.done-{secrets.token_hex(4)}")
        self.path.rename(done)
        shutil.rmtree(done, ignore_errors=True)

    def leave(self) -> None:
        """Releases the lock, and removes the folder if it holds nothing else."""
        if self._lock.is_at(self.path / _LOCK) and [path.name for path in self.path.iterdir()] == [_LOCK]:
            self.discard()
        self._lock.release()


def _remove(paths: Iterable[Path]) -> None:
    for path in list(paths):
        path.unlink()


def _rows_of(part: Path) -> tuple[int, int]:
    first, after = part.stem.split("-")[-2:]
    return int(first), int(after)
