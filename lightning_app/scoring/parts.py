"""Output parts: complete parquet files of a job in progress, joined into the output at the end."""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from lightning_app.atomic_write import sync_file
from lightning_app.errors import UsageError
from lightning_app.errors.full_disk import names_full_disk
from lightning_app.scoring.answering import ReasonColumns
from lightning_app.scoring.job_mark import JobMark, read_mark
from lightning_app.scoring.parts_folder import PartsFolder

_PART_SECONDS = 10.0
_REJECTED = pa.schema([("row", pa.int64()), ("reason", pa.large_string()), ("input", pa.large_string())])
_FORMAT = 2
"""Version of the part files; a job does not resume from parts of another format."""


class OutputParts:
    """Parts of an output in a folder beside it; a job that is run again resumes after the last complete part.

    A context manager: while it is open, no other job can write the output.

    Args:
        output: Output file.
        rejected: File of rejected rows.
        job: Identity of the job: the model, the files, the columns.
        reasons: Names of the answer columns that describe rejected rows.
        overwrite: Whether to replace files and parts of other jobs.
        part_seconds: Seconds between parts, i.e. work lost if the job is killed.

    Attributes:
        started: First start of the job.
        num_done: Rows that are done.
        num_rejected: Rejected rows among them.
        is_finished: Whether the output of this job already exists.

    Raises:
        UsageError: Another job is writing the output, or left a file or parts that would be lost.
    """

    def __init__(
        self,
        output: Path,
        rejected: Path,
        *,
        job: Mapping[str, Any],
        reasons: ReasonColumns,
        overwrite: bool = False,
        part_seconds: float = _PART_SECONDS,
    ) -> None:
        self.output = output
        self.rejected = rejected
        self.reasons = reasons
        self.overwrite = overwrite
        self.part_seconds = part_seconds
        self.job: dict[str, Any] = json.loads(json.dumps({"format": _FORMAT, **job}))
        self.key = hashlib.sha256(json.dumps(self.job, sort_keys=True).encode()).hexdigest()
        self._folder = PartsFolder(output)
        self._writers: dict[str, pa.parquet.ParquetWriter] = {}
        try:
            self._start()
        except BaseException:
            self._folder.leave()
            raise
        self._first = self.num_done
        self._next_part = time.monotonic() + part_seconds

    def __enter__(self) -> "OutputParts":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            with contextlib.suppress(OSError):  # a full disk was reported by the write that failed
                writer.close()
        self._folder.leave()

    def add(self, answer: pa.Table) -> None:
        """Appends answers.

        Args:
            answer: Answers of the next rows, with reason columns.
        """
        why, held = answer[self.reasons.reason], answer[self.reasons.held]
        is_bad = pa.compute.is_valid(why)
        num_bad = pa.compute.sum(is_bad).as_py() or 0
        good = answer.drop_columns([self.reasons.reason, self.reasons.held])
        if num_bad:
            rows = pa.array(range(self.num_done, self.num_done + len(answer)), pa.int64())
            with names_full_disk(self.rejected):
                self._write("rejected", pa.table([rows, why, held], names=_REJECTED.names).filter(is_bad))
            good = good.filter(pa.compute.invert(is_bad))
        with names_full_disk(self.output):
            self._write("part", good)
        self.num_done += len(answer)
        self.num_rejected += num_bad
        if time.monotonic() >= self._next_part:
            self.close_part()

    def close_part(self) -> None:
        """Completes the current part; its rows survive a kill."""
        if not self._writers:
            return
        with names_full_disk(self.output):
            for writer in self._writers.values():
                self._mark().write(writer)
                writer.close()
        for kind in ("rejected", "part"):  # the existence of the part implies that its rejected rows are complete
            if kind in self._writers:
                sync_file(self._folder.partial(kind))
                self._folder.partial(kind).replace(self._folder.complete(kind, first=self._first, after=self.num_done))
        self._writers = {}
        self._first = self.num_done
        self._next_part = time.monotonic() + self.part_seconds

    def finish(self, schema: pa.Schema) -> None:
        """Joins the parts into the output, which appears by one rename, and removes them.

        Args:
            schema: Schema of an answer, for an output without rows.
        """
        self.close_part()
        if self.num_rejected:
            with names_full_disk(self.rejected, self._size("rejected")):
                self._join("rejected", self.rejected, _REJECTED)
        names = [name for name in schema.names if name not in (self.reasons.reason, self.reasons.held)]
        with names_full_disk(self.output, self._size("part")):
            self._join("part", self.output, pa.schema([schema.field(name) for name in names]))
        self._remove_earlier_rejected()
        self._folder.discard()

    def show_rejected(self) -> None:
        """Writes the file of rejected rows but no output; the parts stay, so that a larger bound can resume the job."""
        self.close_part()
        self._join("rejected", self.rejected, _REJECTED)

    def _start(self) -> None:
        kept = self._folder.kept_job()
        started = None if kept is None else kept.pop("started", None)
        if own := self._finished(started):
            self.started, self.num_done, self.num_rejected = own.started, own.num_rows, own.num_rejected
            self.is_finished = True
            if kept == self.job:  # killed after the output was written, before its parts were removed
                self._remove_earlier_rejected()
                self._folder.discard()
            return
        self.is_finished = False
        self._check_free()
        if kept != self.job or started is None:
            if kept is not None and not self.overwrite:
                different = next(key for key in self.job if kept.get(key) != self.job[key])
                raise UsageError(
                    f"output: {self._folder.path} holds parts of a job with another {different}; --overwrite discards "
                    "them, or give another output"
                )
            started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self._folder.begin({**self.job, "started": started})
        self.started = str(started)
        self.num_done = self._folder.num_done()
        rejected = self._folder.parts("rejected")
        self.num_rejected = sum(int(pa.parquet.read_metadata(path).num_rows) for path in rejected)

    def _finished(self, started: str | None) -> JobMark | None:
        """Mark of the output, if this job has finished it and it is not to be overwritten."""
        own = read_mark(self.output)
        if own is None or own.job != self.key or (self.overwrite and own.started != started):
            return None
        rejected = read_mark(self.rejected)
        return own if not own.num_rejected or (rejected is not None and rejected.job == self.key) else None

    def _remove_earlier_rejected(self) -> None:
        if not self.num_rejected:
            self.rejected.unlink(missing_ok=True)  # written by this job, or allowed to be overwritten

    def _check_free(self) -> None:
        """Raises if files of another job would be replaced."""
        if self.overwrite:
            return
        for path, what in ((self.output, "exists"), (self.rejected, "holds rejected rows of another job")):
            mark = read_mark(path)
            if os.path.lexists(path) and (mark is None or mark.job != self.key):
                raise UsageError(f"output: {path} {what}; give another output, or --overwrite to replace it")

    def _write(self, kind: str, table: pa.Table) -> None:
        if kind not in self._writers:
            self._writers[kind] = _writer(self._folder.partial(kind), table.schema)
        self._writers[kind].write_table(table)

    def _mark(self) -> JobMark:
        return JobMark(self.key, self.started, self.num_done, self.num_rejected)

    def _size(self, kind: str) -> int:
        return sum(part.stat().st_size for part in self._folder.parts(kind))

    def _join(self, kind: str, path: Path, schema: pa.Schema) -> None:
        """Joins parts into a file; the parts stay, so that a job killed here can join them again."""
        parts = self._folder.parts(kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._folder.partial(f"{kind}-joined")
        if len(parts) == 1 and read_mark(parts[0]) == self._mark():
            os.link(parts[0], partial)
        else:
            with _writer(partial, pa.parquet.read_schema(parts[0]).remove_metadata() if parts else schema) as writer:
                for part in parts:
                    with pa.parquet.ParquetFile(part) as file:
                        for batch in file.iter_batches():
                            writer.write_batch(batch)
                self._mark().write(writer)
            sync_file(partial)
        self._check_free()  # again: files may have appeared in the meantime
        partial.replace(path)


def _writer(path: Path, schema: pa.Schema) -> pa.parquet.ParquetWriter:
    return pa.parquet.ParquetWriter(path, schema, compression="zstd", compression_level=1)
