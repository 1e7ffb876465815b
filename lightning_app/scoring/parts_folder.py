"""Folder of the parts of an output, beside it: which job they are of, and how far they go."""

import json
import secrets
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning_app.atomic_write import write_whole
from lightning_app.scoring.output_lock import OutputLock

_NAME = "part-{first:012d}-{after:012d}.parquet"
_STATE, _LOCK = "job.json", "lock"


class PartsFolder:
    """The folder, locked: of a process that is killed it stays, and the lock goes.

    Args:
        output: The file that becomes of the parts.

    Attributes:
        path: The folder.

    Raises:
        UsageError: Another job has it.
    """

    def __init__(self, output: Path) -> None:
        self.path = output.with_name(f".{output.name}.parts")
        self._lock = OutputLock(self.path / _LOCK, output=output)
        for left in self.path.parent.glob(f"{self.path.name}.done-*"):  # of a job that was killed at its end
            shutil.rmtree(left, ignore_errors=True)

    def kept_job(self) -> dict[str, Any] | None:
        """What was written of the job whose parts these are; None where there is none."""
        try:
            return dict(json.loads((self.path / _STATE).read_text()))
        except FileNotFoundError:
            return None

    def begin(self, job: Mapping[str, Any]) -> None:
        """Removes whatever is there, and writes whose parts the next ones are.

        Args:
            job: What makes the job another one, and when it was started.
        """
        (self.path / _STATE).unlink(missing_ok=True)  # first: what is left without it is nobody's
        _remove(path for path in self.path.iterdir() if path.name != _LOCK)
        write_whole(self.path / _STATE, json.dumps(job))

    def num_done(self) -> int:
        """Rows of the parts that follow each other without a gap; others, and what is half written, are removed."""
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
        """Whole parts in the order of their rows.

        Args:
            kind: `part`, or `rejected`.
        """
        return sorted(self.path.glob("part-*.parquet" if kind == "part" else "rejected-part-*.parquet"))

    def place(self, kind: str, *, first: int, after: int) -> Path:
        """Where a whole part lies.

        Args:
            kind: `part`, or `rejected`.
            first: Number of its first row.
            after: Of the row after its last.
        """
        name = _NAME.format(first=first, after=after)
        return self.path / (name if kind == "part" else f"{kind}-{name}")

    def partial(self, name: str) -> Path:
        """Where something lies until it is whole.

        Args:
            name: What it is.
        """
        return self.path / f".{name}.parquet"

    def discard(self) -> None:
        """Takes the folder away at once: what is left of one that is removed bit by bit could pass for another job's.

        The lock stays ours until `leave`, in the folder that has another name now.
        """
        done = self.path.with_name(f"{self.path.name}.done-{secrets.token_hex(4)}")
        self.path.rename(done)
        shutil.rmtree(done, ignore_errors=True)

    def leave(self) -> None:
        """Releases the lock, and takes the folder away where nothing else is in it."""
        if self._lock.is_at(self.path / _LOCK) and [path.name for path in self.path.iterdir()] == [_LOCK]:
            self.discard()
        self._lock.release()


def _remove(paths: Iterable[Path]) -> None:
    for path in list(paths):
        path.unlink()


def _rows_of(part: Path) -> tuple[int, int]:
    first, after = part.stem.split("-")[-2:]
    return int(first), int(after)
