"""Scoring job: a package, input tables, and the output file of predictions."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from features.sources import Notes
from lightning_app.errors import UsageError
from lightning_app.packaging import Package, PackageError
from lightning_app.packaging.runtime.contents import PackageContents
from lightning_app.packaging.runtime.requests.raw_request import is_raw
from lightning_app.packaging.runtime.row_ids import answer_columns, node_inputs
from lightning_app.packaging.runtime.text.tokenizer import TEXT
from lightning_app.scoring.answering import SCORED_AT, VERSION, Answerer, AnswerPlan, ReasonColumns, columns_read
from lightning_app.scoring.contract_check import check_tables, chosen_contract
from lightning_app.scoring.engines import PART_ROWS, Engine
from lightning_app.scoring.output_place import check_apart
from lightning_app.scoring.parts import OutputParts
from lightning_app.scoring.tables import TableFiles, as_frame


class TooManyRejectedError(RuntimeError):
    """More rows were rejected than the job allows."""


@dataclass(frozen=True)
class RejectionBound:
    """Largest allowed number of rejected rows: the larger of the two bounds.

    Attributes:
        rows: Number of rows.
        share: Fraction of all rows, from 0 to 1.
    """

    rows: int = 0
    share: float = 0.0

    def __post_init__(self) -> None:
        if self.rows < 0 or not 0 <= self.share <= 1:
            raise ValueError(f"{self.rows} rows, share {self.share}: neither may be below 0, nor the share above 1")

    def allowed(self, num_rows: int) -> int:
        """Number of rows that may be rejected of `num_rows`."""
        return max(self.rows, int(self.share * num_rows))


@dataclass(frozen=True)
class ScoreResult:
    """Result of a job.

    Attributes:
        num_rows: Rows of the tables.
        num_rejected: Rows without a prediction.
        output: File of predictions.
        rejected: File of rejected rows; exists only if there are any.
        was_finished: Whether an earlier run of the same job had finished; then nothing was done.
        notes: What was filled or dropped in raw rows, and read as unknown in texts, one line each.
    """

    num_rows: int
    num_rejected: int
    output: Path
    rejected: Path
    was_finished: bool = False
    notes: tuple[str, ...] = ()


class ScoreJob:
    """Scores tables with a package.

    The package is read once: replacing its folder during the job has no effect.

    Args:
        package: Folder of the package.
        version: Value of the column `model_version`, e.g. `NAME@3`; None takes name and digest of the package.
        digest: Expected digest of the package; None accepts any.
        data: Files, folders or glob patterns.
        output: File of predictions, parquet.
        keys: Columns that the output keeps; None keeps all that the model neither reads nor writes.
        bound: Allowed number of rejected rows.
        overwrite: Whether to replace an output, rejected rows or parts of another job.
        contract: File of the data contract that the table keeps; None for that of the package, if the table is raw.
        part_seconds: Seconds between parts on disk, i.e. work lost if the job is killed.

    Attributes:
        files: The tables.
        left_out: Columns that are not kept because the model writes columns of the same names.

    Raises:
        UsageError: A file or column is missing, or the output is no parquet file, or is one of the tables.
        PackageError: The digest of the package is not the expected one.
    """

    def __init__(
        self,
        *,
        package: Path,
        version: str | None = None,
        digest: str | None = None,
        data: Sequence[str],
        output: Path,
        keys: Sequence[str] | None = None,
        bound: RejectionBound,
        overwrite: bool = False,
        contract: str | None = None,
        part_seconds: float = 10.0,
    ) -> None:
        check_parquet(output)
        contents = PackageContents.read(package)
        if digest not in (None, contents.digest):
            raise PackageError(f"package: {package} has the digest {contents.digest}, {digest} is expected")
        loaded = Package.of(contents)
        self.files = TableFiles(data, tokenizer=loaded.tokenizer)
        self.output = output
        self.rejected = rejected_path(output)
        for path in (self.output, self.rejected):
            check_apart(path, sources=self.files.sources, tables=self.files.paths)
        names = self.files.schema.names
        inputs = columns_read(loaded, names)
        written = _written_columns(loaded)
        if keys is not None:  # answers contain their node ids anyway
            keys = [name for name in keys if name not in node_inputs(loaded.manifest)]
        _check_columns(inputs, keys or (), names, written)
        self.contents = contents
        self.version = f"{loaded.manifest.name}@{contents.digest[:12]}" if version is None else version
        self.inputs = inputs
        self.keys = tuple(keys if keys is not None else (name for name in names if name not in {*inputs, *written}))
        self.left_out = [] if keys is not None else [name for name in names if name in written and name not in inputs]
        self.bound = bound
        self.overwrite = overwrite
        self.part_seconds = part_seconds
        self._contract = chosen_contract(contract, contents.contract, contents.manifest, names)
        self._written = written

    def run(self, engine: Engine, *, on_progress: Callable[[int, int], None] = lambda *_: None) -> ScoreResult:
        """Scores the rows that are not scored yet, and writes the output.

        Args:
            engine: Engine that predicts.
            on_progress: Called with the number of finished rows, and of rejected rows among them.

        Raises:
            UsageError: Another job is writing the output, or left files that would be lost.
            TooManyRejectedError: More rows were rejected than allowed; they are in the file of rejected rows, and there
                is no output.
        """
        reasons = ReasonColumns.beside({*self.keys, *self._written})
        data = self._data()
        job = {"model": self.contents.digest, "version": self.version, "columns": list(self.keys), "data": data}
        if self._contract is not None:
            job["contract"] = hashlib.sha256(self._contract.to_json()).hexdigest()
        with OutputParts(
            self.output, self.rejected, job=job, reasons=reasons, overwrite=self.overwrite,
            part_seconds=self.part_seconds,
        ) as parts:  # fmt: skip
            if parts.is_finished:
                self._check_bound(parts)
                return self._result(parts)
            plan = AnswerPlan(
                package=self.contents, inputs=self.inputs, keys=self.keys, version=self.version,
                scored_at=parts.started, reasons=reasons, missing=self.files.missing,
            )  # fmt: skip
            on_progress(parts.num_done, parts.num_rejected)
            checked = check_tables(self._contract, self.files.paths)
            for answer in engine.answers(plan, self.files, parts.num_done):
                parts.add(checked.apply(answer, parts.num_done, reasons))
                on_progress(parts.num_done, parts.num_rejected)
                if not self.bound.share and parts.num_rejected > self.bound.rows:
                    break
            if self._data() != data:
                raise RuntimeError("data: a file was changed while it was scored; no output was written")
            if checked.num_rows not in (None, parts.num_done) and parts.num_rejected <= self.bound.allowed(
                parts.num_done
            ):
                raise RuntimeError(
                    f"data: the contract was checked on {checked.num_rows:,} rows, {parts.num_done:,} were scored"
                )
            if parts.num_rejected > self.bound.allowed(parts.num_done):
                parts.show_rejected()
            self._check_bound(parts)
            parts.finish(Answerer(plan)(self.files.schema.empty_table()).schema)
            return self._result(parts, (*checked.notes, *self._unknown_notes(), *self._text_notes()))

    def _unknown_notes(self) -> list[str]:
        """A line on the tokens of all texts, also those that an interrupted run answered, beyond the vocabulary."""
        tokenizer = self.files.tokenizer
        if tokenizer is None or TEXT not in self.inputs:
            return []
        texts = (text for part in self.files.parts(PART_ROWS) for text in part.table[TEXT].to_pylist())
        note = tokenizer.unknown_note(texts)
        return [] if note is None else [note]

    def _text_notes(self) -> list[str]:
        """Lines on the texts of all raw rows, also those that an interrupted run answered, that were cut or empty."""
        package = Package.of(self.contents, replay=False)
        raw_input = package.predictor.raw_input
        if raw_input is None or not raw_input.reads_texts or not is_raw(self.inputs, package.manifest):
            return []
        total = Notes()
        for part in self.files.parts(PART_ROWS):
            frame = as_frame(part.table.select(self.inputs))
            for batch in package.predictor.prepare_raw(frame):
                for (table, kind), count in batch.counts.items():
                    total.add(table, kind, count)
        return total.lines()

    def _data(self) -> list[list[object]]:
        """Identity of the input files: path, size and modification time."""
        return [[str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns] for path in self.files.paths]

    def _check_bound(self, parts: OutputParts) -> None:
        allowed = self.bound.allowed(parts.num_done)
        if parts.num_rejected > allowed:
            raise TooManyRejectedError(
                f"{parts.num_rejected:,} of {parts.num_done:,} rows were rejected, {allowed:,} are allowed "
                f"(--max-rejected); see {self.rejected}"
            )

    def _result(self, parts: OutputParts, notes: Sequence[str] = ()) -> ScoreResult:
        done = parts.is_finished
        return ScoreResult(parts.num_done, parts.num_rejected, self.output, self.rejected, done, tuple(notes))


def check_parquet(output: Path) -> None:
    """Raises unless the name of an output is that of a parquet file."""
    if output.suffix != ".parquet":
        raise UsageError(f"output: {output} given, a name that ends in .parquet is needed")


def rejected_path(output: Path) -> Path:
    """File of the rejected rows of an output."""
    return output.with_name(f"{output.stem}.rejected.parquet")


def _written_columns(package: Package) -> set[str]:
    return {*answer_columns(package.manifest), VERSION, SCORED_AT}


def _check_columns(inputs: Sequence[str], keys: Sequence[str], names: Sequence[str], written: set[str]) -> None:
    for name in (*inputs, *keys):
        if name not in names:
            raise UsageError(f"data: there is no column {name!r}, there are {', '.join(names[:20])}")
    for name in keys:
        if name in written:
            raise UsageError(f"keys: {name!r} is a column that the model writes; rename it in the table")
