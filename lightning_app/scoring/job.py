"""One scoring job: a package, tables, and the file that becomes of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_app.errors import UsageError
from lightning_app.packaging import Package, PackageError
from lightning_app.packaging.runtime.contents import PackageContents
from lightning_app.packaging.runtime.row_ids import answer_columns, node_inputs
from lightning_app.scoring.answering import SCORED_AT, VERSION, Answerer, AnswerPlan, ReasonColumns, columns_read
from lightning_app.scoring.engines import Engine
from lightning_app.scoring.output_place import check_apart
from lightning_app.scoring.parts import OutputParts
from lightning_app.scoring.tables import TableFiles


class TooManyRejectedError(RuntimeError):
    """More rows were rejected than the job allows."""


@dataclass(frozen=True)
class RejectionBound:
    """How many rows may be rejected.

    Attributes:
        rows: At most so many.
        share: Or this share of all rows, from 0 to 1.
    """

    rows: int = 0
    share: float = 0.0

    def __post_init__(self) -> None:
        if self.rows < 0 or not 0 <= self.share <= 1:
            raise ValueError(f"{self.rows} rows, share {self.share}: neither may be below 0, nor the share above 1")

    def allowed(self, num_rows: int) -> int:
        """How many of so many rows may be rejected."""
        return max(self.rows, int(self.share * num_rows))


@dataclass(frozen=True)
class ScoreResult:
    """What a job came to.

    Attributes:
        num_rows: Rows of the tables.
        num_rejected: Of these, rows that could not be answered.
        output: The predictions.
        rejected: The rejected rows; not there if there are none.
        was_finished: Whether an earlier call of the same job had made the output; then nothing was done.
    """

    num_rows: int
    num_rejected: int
    output: Path
    rejected: Path
    was_finished: bool = False


class ScoreJob:
    """Scores tables with a package, which is read once: whatever takes its place meanwhile answers nothing.

    Args:
        package: Folder of the package.
        version: What stands in each row as what answered, `NAME@3`; None takes name and digest of the package.
        digest: Of the package that is expected in the folder; None takes any.
        data: Files, folders or patterns.
        output: The file of predictions, parquet.
        keys: Columns that the output keeps; None keeps all that the model neither reads nor makes.
        bound: How many rows may be rejected.
        overwrite: Whether an output, rejected rows or parts of another job may be replaced.
        part_seconds: How much work a kill may cost.

    Attributes:
        files: The tables.
        left_out: Columns that are not kept, because the output gets others of the same names.

    Raises:
        UsageError: A file or a column is missing, the output is no parquet file, or one of the tables.
        PackageError: The folder holds another package than expected.
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
        part_seconds: float = 10.0,
    ) -> None:
        if output.suffix != ".parquet":
            raise UsageError(f"output: {output} given, a name that ends in .parquet is needed")
        contents = PackageContents.read(package)
        if digest not in (None, contents.digest):
            raise PackageError(f"package: {package} has the digest {contents.digest}, {digest} is expected")
        loaded = Package.of(contents)
        self.files = TableFiles(data)
        self.output = output
        self.rejected = output.with_name(f"{output.stem}.rejected.parquet")
        for path in (self.output, self.rejected):
            check_apart(path, self.files)
        names = self.files.schema.names
        inputs = columns_read(loaded, names)
        made = _made_columns(loaded)
        if keys is not None:  # nodes stand in every answer
            keys = [name for name in keys if name not in node_inputs(loaded.manifest)]
        _check_columns(inputs, keys or (), names, made)
        self.contents = contents
        self.version = f"{loaded.manifest.name}@{contents.digest[:12]}" if version is None else version
        self.inputs = inputs
        self.keys = tuple(keys if keys is not None else (name for name in names if name not in {*inputs, *made}))
        self.left_out = [] if keys is not None else [name for name in names if name in made and name not in inputs]
        self.bound = bound
        self.overwrite = overwrite
        self.part_seconds = part_seconds
        self._made = made

    def run(self, engine: Engine, *, on_progress: Callable[[int, int], None] = lambda *_: None) -> ScoreResult:
        """Scores what is not scored yet, and puts the output in its place.

        Args:
            engine: Where it is computed.
            on_progress: Called with the rows that are done, and of them the rejected ones.

        Raises:
            UsageError: Another job is at work on the output, or left something that would be lost.
            TooManyRejectedError: More rows were rejected than allowed; they are in the file of rejected rows, and
                there is no output.
        """
        reasons = ReasonColumns.beside({*self.keys, *self._made})
        data = self._data()
        job = {"model": self.contents.digest, "version": self.version, "columns": list(self.keys), "data": data}
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
            for answer in engine.answers(plan, self.files, parts.num_done):
                parts.add(answer)
                on_progress(parts.num_done, parts.num_rejected)
                if not self.bound.share and parts.num_rejected > self.bound.rows:
                    break
            if self._data() != data:
                raise RuntimeError("data: a file was changed while it was scored; nothing is written")
            if parts.num_rejected > self.bound.allowed(parts.num_done):
                parts.show_rejected()
            self._check_bound(parts)
            parts.finish(Answerer(plan)(self.files.schema.empty_table()).schema)
            return self._result(parts)

    def _data(self) -> list[list[object]]:
        """What tells one state of the tables from another."""
        return [[str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns] for path in self.files.paths]

    def _check_bound(self, parts: OutputParts) -> None:
        allowed = self.bound.allowed(parts.num_done)
        if parts.num_rejected > allowed:
            raise TooManyRejectedError(
                f"{parts.num_rejected:,} of {parts.num_done:,} rows were rejected, {allowed:,} are allowed "
                f"(--max-rejected); see {self.rejected}"
            )

    def _result(self, parts: OutputParts) -> ScoreResult:
        return ScoreResult(parts.num_done, parts.num_rejected, self.output, self.rejected, parts.is_finished)


def _made_columns(package: Package) -> set[str]:
    return {*answer_columns(package.manifest), VERSION, SCORED_AT}


def _check_columns(inputs: Sequence[str], keys: Sequence[str], names: Sequence[str], made: set[str]) -> None:
    for name in (*inputs, *keys):
        if name not in names:
            raise UsageError(f"data: there is no column {name!r}, there are {', '.join(names[:20])}")
    for name in keys:
        if name in made:
            raise UsageError(f"keys: {name!r} is a column that the output gets from the model; rename it in the table")
