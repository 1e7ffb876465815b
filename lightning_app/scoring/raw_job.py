"""RawScoreJob: answers tables of raw rows that have to be read whole: time series, rows with their own history."""

import json
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet

from lightning_app.atomic_write import replacing
from lightning_app.errors import UsageError
from lightning_app.packaging import Package, PackageError
from lightning_app.packaging.runtime.contents import PackageContents
from lightning_app.scoring.answering import SCORED_AT, VERSION
from lightning_app.scoring.contract_check import check_tables, chosen_contract
from lightning_app.scoring.job import RejectionBound, ScoreResult, TooManyRejectedError, check_parquet, rejected_path
from lightning_app.scoring.output_lock import OutputLock
from lightning_app.scoring.output_place import check_apart
from lightning_app.scoring.raw_tables import RawTables


class RawScoreJob:
    """Scores a raw table as a whole; the columns that the package needs are held in memory, answers are not.

    Args:
        package: Verified contents of the package.
        version: Value of the column `model_version`; None takes name and digest of the package.
        digest: Expected digest of the package; None accepts any.
        data: Files, folders or glob patterns; their rows are one table. A package of several tables takes `NAME=FILES`
            for each.
        output: File of predictions, parquet.
        at: Which answers are asked for, see `Predictor.predict_raw`; None for the default of the package's kind.
        bound: Allowed number of answers that cannot be given.
        overwrite: Whether to replace an output or rejected rows.
        contract: File of the data contract that the table keeps; None for that of the package.

    Raises:
        UsageError: A file or column is missing, or the output is no parquet file, exists, or is one of the tables.
        PackageError: The digest of the package is not the expected one.
    """

    def __init__(
        self,
        *,
        package: PackageContents,
        version: str | None = None,
        digest: str | None = None,
        data: Sequence[str],
        output: Path,
        at: str | Sequence[str] | None = None,
        bound: RejectionBound,
        overwrite: bool = False,
        contract: str | None = None,
    ) -> None:
        check_parquet(output)
        if digest not in (None, package.digest):
            raise PackageError(f"package: {package.path} has the digest {package.digest}, {digest} is expected")
        self.package = Package.of(package)
        assert self.package.predictor.raw_input is not None
        self.tables = RawTables(data, package.manifest, self.package.predictor.raw_input)
        self.output = output
        self.rejected = rejected_path(output)
        for path in (self.output, self.rejected):
            check_apart(path, sources=self.tables.sources, tables=self.tables.files)
            if path.exists() and not overwrite:
                raise UsageError(f"output: {path} exists; give another output, or --overwrite to replace it")
        self.tables.check()
        self.version = f"{package.manifest.name}@{package.digest[:12]}" if version is None else version
        self.at = at
        names = self.tables.names
        if None not in names and contract is not None:
            raise UsageError(f"contract: {contract} given, the package takes tables {', '.join(map(str, names))}")
        self._contract = chosen_contract(contract, package, names[None]) if None in names else None
        self.bound = bound

    def run(self) -> ScoreResult:
        """Answers the table, and writes the output; an interrupted job leaves none.

        Raises:
            UsageError: The table does not fit the package, or another job is writing the output.
            TooManyRejectedError: More answers were rejected than allowed; they are in the file of rejected rows, and
                there is no output.
        """
        lock = self.output.with_name(f".{self.output.name}.lock")
        held = OutputLock(lock, output=self.output)
        try:
            return self._run()
        finally:
            lock.unlink(missing_ok=True)
            held.release()

    def _run(self) -> ScoreResult:
        paths = [] if self._contract is None else self.tables.paths[None]
        checked = check_tables(self._contract, paths, scan=self.tables.scan)
        tables = {table: self.tables.read(table) for table in self.tables.paths}
        first = next(iter(tables.values()))
        kept = [row for row in range(len(first)) if row not in checked.rejected]
        scored_at = datetime.fromisoformat(time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()))
        good = first[kept] if checked.rejected else first
        request = good if None in tables else {str(name): table for name, table in tables.items()}
        rejected = dict(checked.rejected)
        notes = list(checked.notes)
        num_rows = num_asked = num_rejected = 0
        with replacing(self.output, durable=True) as partial:
            writer: pa.parquet.ParquetWriter | None = None
            try:
                for answer in self.package.predictor.predict_raw(request, at=self.at):
                    rows = (
                        _numbered(answer.table, kept)
                        .with_columns(pl.lit(self.version).alias(VERSION), pl.lit(scored_at).alias(SCORED_AT))
                        .to_arrow()
                    )
                    writer = writer or pa.parquet.ParquetWriter(partial, rows.schema, compression="zstd")
                    writer.write_table(rows)
                    rejected |= {kept[row]: reason for row, reason in answer.rejected.items()}
                    notes += answer.notes
                    num_rows += len(rows)
                    num_asked += answer.num_asked
                    num_rejected += answer.num_rejected
            finally:
                if writer is not None:
                    writer.close()
            self._write_rejected(first, dict(sorted(rejected.items())))
            if len(checked.rejected) > self.bound.allowed(len(first)):
                raise TooManyRejectedError(
                    f"{len(checked.rejected):,} of {len(first):,} rows break the contract, "
                    f"{self.bound.allowed(len(first)):,} are allowed (--max-rejected); see {self.rejected}"
                )
            allowed = self.bound.allowed(num_asked)
            if num_rejected > allowed:
                raise TooManyRejectedError(
                    f"{num_rejected:,} of {num_asked:,} answers cannot be given, {allowed:,} are allowed "
                    f"(--max-rejected); the first: {next(iter(rejected.values()))}; see {self.rejected}"
                )
        num_rejected += len(checked.rejected)
        return ScoreResult(num_rows, num_rejected, self.output, self.rejected, notes=tuple(dict.fromkeys(notes)))

    def _write_rejected(self, table: pl.DataFrame, rejected: dict[int, str]) -> None:
        if not rejected:
            self.rejected.unlink(missing_ok=True)  # of an earlier job, allowed to be overwritten
            return
        held = [json.dumps(table.row(row, named=True), default=str) for row in rejected]
        frame = pl.DataFrame(
            {"row": list(rejected), "reason": list(rejected.values()), "input": held},
            schema={"row": pl.Int64, "reason": pl.String, "input": pl.String},
        )
        with replacing(self.rejected, durable=True) as partial:
            frame.write_parquet(partial)


def _numbered(answer: pl.DataFrame, kept: list[int]) -> pl.DataFrame:
    """Answers whose column `row` counts the rows of the tables, those that a contract rejects included."""
    if "row" not in answer.columns:
        return answer
    return answer.with_columns(pl.Series("row", kept, dtype=pl.Int64).gather(answer["row"]))
