"""One scoring job: a package, tables, and the file that becomes of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_app.errors import UsageError
from lightning_app.packaging import Package
from lightning_app.scoring.answering import SCORED_AT, VERSION, Answerer, AnswerPlan, columns_read
from lightning_app.scoring.engines import Engine
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
    """

    num_rows: int
    num_rejected: int
    output: Path
    rejected: Path


class ScoreJob:
    """Scores tables with a package.

    Args:
        package: Folder of the package.
        version: What stands in each row as what answered: `NAME@3`, or the package's digest.
        data: Files, folders or patterns.
        output: The file of predictions, parquet.
        keys: Columns that the output keeps; None keeps all that the model neither reads nor makes.
        bound: How many rows may be rejected.
        part_seconds: How much work a kill may cost.

    Raises:
        UsageError: A file or a column is missing, or the output is no parquet file.
    """

    def __init__(
        self,
        *,
        package: Path,
        version: str,
        data: Sequence[str],
        output: Path,
        keys: Sequence[str] | None = None,
        bound: RejectionBound,
        part_seconds: float = 10.0,
    ) -> None:
        if output.suffix != ".parquet":
            raise UsageError(f"output: {output} given, a name that ends in .parquet is needed")
        loaded = Package.load(package)
        texts = [name for spec in loaded.manifest.inputs for name in (spec.columns or (spec.name,))]
        self.files = TableFiles(data, texts=texts)
        names = self.files.schema.names
        inputs = columns_read(loaded, names)
        made = _made_columns(loaded)
        _check_columns(inputs, keys or (), names, made)
        self.digest = loaded.digest
        self.package = package.resolve()
        self.version = version
        self.inputs = inputs
        self.keys = tuple(keys if keys is not None else (name for name in names if name not in {*inputs, *made}))
        self.output = output
        self.rejected = output.with_name("rejected.parquet")
        self.bound = bound
        self.part_seconds = part_seconds

    def run(self, engine: Engine, *, on_progress: Callable[[int, int], None] = lambda *_: None) -> ScoreResult:
        """Scores what is not scored yet, and puts the output in its place.

        Args:
            engine: Where it is computed.
            on_progress: Called with the rows that are done, and of them the rejected ones.

        Raises:
            TooManyRejectedError: More rows were rejected than allowed; they are in `rejected.parquet`, and there is no
                output.
        """
        parts = OutputParts(self.output, self.rejected, job=self._identity(), part_seconds=self.part_seconds)
        plan = AnswerPlan(
            package=str(self.package), inputs=self.inputs, keys=self.keys, version=self.version,
            scored_at=parts.started,
        )  # fmt: skip
        on_progress(parts.num_done, parts.num_rejected)
        for answer in engine.answers(plan, self.files, parts.num_done):
            parts.add(answer)
            on_progress(parts.num_done, parts.num_rejected)
            if not self.bound.share and parts.num_rejected > self.bound.rows:
                break
        allowed = self.bound.allowed(parts.num_done)
        if parts.num_rejected > allowed:
            parts.show_rejected()
            raise TooManyRejectedError(
                f"{parts.num_rejected:,} of {parts.num_done:,} rows were rejected, {allowed:,} are allowed "
                f"(--max-rejected); see {self.rejected}"
            )
        parts.finish(Answerer(plan)(self.files.schema.empty_table()).schema)
        return ScoreResult(parts.num_done, parts.num_rejected, self.output, self.rejected)

    def _identity(self) -> dict[str, object]:
        return {
            "model": self.digest,
            "version": self.version,
            "columns": list(self.keys),
            "data": [[str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns] for path in self.files.paths],
        }


def _made_columns(package: Package) -> set[str]:
    made = {*(spec.name for spec in package.manifest.outputs), VERSION, SCORED_AT}
    return made | {"label", "probability"} if package.manifest.labels else made


def _check_columns(inputs: Sequence[str], keys: Sequence[str], names: Sequence[str], made: set[str]) -> None:
    for name in (*inputs, *keys):
        if name not in names:
            raise UsageError(f"data: there is no column {name!r}, there are {', '.join(names[:20])}")
    for name in keys:
        if name in made:
            raise UsageError(f"keys: {name!r} is a column that the output gets from the model; rename it in the table")
