"""The output as it grows: parts that are whole or not there, joined at the end by one rename."""

import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from lightning_app.errors import UsageError
from lightning_app.run import write_whole
from lightning_app.scoring.answering import INPUT, REASON

_PART_SECONDS = 10.0
_REJECTED = pa.schema([("row", pa.int64()), ("reason", pa.large_string()), ("input", pa.large_string())])
_NAME = "part-{first:012d}-{after:012d}.parquet"


class OutputParts:
    """Parts of an output in a folder beside it; a job that is run again goes on after the last whole one.

    Args:
        output: The file in the end.
        rejected: The file of rejected rows in the end.
        job: What makes the job another one: the model, the files, the columns. A folder of another job is refused.
        part_seconds: How much work a kill may cost.

    Raises:
        UsageError: Another job has left parts beside this output.
    """

    def __init__(
        self, output: Path, rejected: Path, *, job: Mapping[str, Any], part_seconds: float = _PART_SECONDS
    ) -> None:
        self.output = output
        self.rejected = rejected
        self.part_seconds = part_seconds
        self.folder = output.with_name(f".{output.name}.parts")
        self.started = self._start(dict(job))
        self.num_done = self._num_done()
        for path in self.folder.glob("rejected-part-*.parquet"):
            if _rows_of(path)[1] > self.num_done:
                path.unlink()  # its part was not closed to the end
        self.num_rejected = sum(int(pa.parquet.read_metadata(path).num_rows) for path in self._parts("rejected"))
        self._writers: dict[str, pa.parquet.ParquetWriter] = {}
        self._first = self.num_done
        self._next_part = time.monotonic() + part_seconds

    def add(self, answer: pa.Table) -> None:
        """Appends answers.

        Args:
            answer: The next rows, with reasons.
        """
        is_bad = pa.compute.is_valid(answer[REASON])
        num_bad = pa.compute.sum(is_bad).as_py() or 0
        rows = pa.array(range(self.num_done, self.num_done + len(answer)), pa.int64()) if num_bad else None
        good = answer.drop_columns([REASON, INPUT])
        if num_bad:
            bad = answer.append_column("row", rows).filter(is_bad)
            self._write("rejected", bad.select(["row", REASON, INPUT]).rename_columns(["row", "reason", "input"]))
            good = good.filter(pa.compute.invert(is_bad))
        self._write("part", good)
        self.num_done += len(answer)
        self.num_rejected += num_bad
        if time.monotonic() >= self._next_part:
            self.close_part()

    def close_part(self) -> None:
        """Makes what was added since a part that stays."""
        if not self._writers:
            return
        for writer in self._writers.values():
            writer.close()
        for kind in ("rejected", "part"):  # the part says that both are whole
            if kind in self._writers:
                name = _NAME.format(first=self._first, after=self.num_done)
                _sync(self._partial(kind))
                self._partial(kind).replace(self.folder / (name if kind == "part" else f"{kind}-{name}"))
        self._writers = {}
        self._first = self.num_done
        self._next_part = time.monotonic() + self.part_seconds

    def finish(self, schema: pa.Schema) -> None:
        """Puts the parts together, in their place by one rename, and removes them.

        Args:
            schema: Of an answer; for an output without rows.
        """
        self.close_part()
        names = [name for name in schema.names if name not in (REASON, INPUT)]
        if self.num_rejected:
            self._join("rejected", self.rejected, _REJECTED)
        else:
            self.rejected.unlink(missing_ok=True)  # of an earlier job
        self._join("part", self.output, pa.schema([schema.field(name) for name in names]))
        shutil.rmtree(self.folder)

    def show_rejected(self) -> None:
        """Puts the rejected rows in their place; what was answered stays, and a job that allows more goes on."""
        self.close_part()
        self._join("rejected", self.rejected, _REJECTED)

    def _start(self, job: dict[str, Any]) -> str:
        """When the job was started, the first time."""
        state = self.folder / "job.json"
        if state.exists():
            kept = json.loads(state.read_text())
            started = str(kept.pop("started"))
            if kept != json.loads(json.dumps(job)):
                different = next(key for key in job if kept.get(key) != json.loads(json.dumps(job[key])))
                raise UsageError(
                    f"output: {self.folder} holds parts of a job with another {different}; remove that folder to start "
                    "anew, or give another output"
                )
            for path in self.folder.glob(".*"):
                path.unlink()
            return started
        self.folder.mkdir(parents=True, exist_ok=True)
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        write_whole(state, json.dumps({**job, "started": started}))
        return started

    def _num_done(self) -> int:
        done = 0
        for path in self._parts("part"):
            first, after = _rows_of(path)
            assert first == done, path
            done = after
        return done

    def _parts(self, kind: str) -> list[Path]:
        return sorted(self.folder.glob("part-*.parquet" if kind == "part" else "rejected-part-*.parquet"))

    def _partial(self, kind: str) -> Path:
        return self.folder / f".{kind}.parquet"

    def _write(self, kind: str, table: pa.Table) -> None:
        if kind not in self._writers:
            self._writers[kind] = _writer(self._partial(kind), table.schema)
        self._writers[kind].write_table(table)

    def _join(self, kind: str, path: Path, schema: pa.Schema) -> None:
        """Leaves the parts where they are: a job that is killed here joins them again."""
        parts = self._parts(kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f".{kind}-joined.parquet"
        if len(parts) == 1:
            os.link(parts[0], partial)
            partial.replace(path)
            return
        with _writer(partial, schema) as writer:
            for part in parts:
                with pa.parquet.ParquetFile(part) as file:
                    for batch in file.iter_batches():
                        writer.write_batch(batch)
        _sync(partial)
        partial.replace(path)


def _rows_of(part: Path) -> tuple[int, int]:
    first, after = part.stem.split("-")[-2:]
    return int(first), int(after)


def _writer(path: Path, schema: pa.Schema) -> pa.parquet.ParquetWriter:
    return pa.parquet.ParquetWriter(path, schema, compression="zstd", compression_level=1)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
