"""RawScoreJob: answers tables of raw rows that have to be read whole: time series, rows with their own history."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet

from features.contracts.files.table_file import scan_table
from features.store import OnlineStore
from features.table_reader import NULL_WORDS, column_names, read_table
from lightning_app.atomic_write import replacing
from lightning_app.errors import UsageError
from lightning_app.packaging import Package, PackageError
from lightning_app.packaging.format.raw_input import RawColumn
from lightning_app.packaging.runtime.contents import PackageContents
from lightning_app.packaging.runtime.raw_input import load_raw_input
from lightning_app.packaging.runtime.requests.further_tables import further_tables
from lightning_app.packaging.runtime.requests.raw_request import check_raw_columns, is_raw
from lightning_app.runs.output_lock import OutputLock
from lightning_app.scoring.answering import SCORED_AT, VERSION
from lightning_app.scoring.contract_check import check_tables, chosen_contract
from lightning_app.scoring.job import RejectionBound, ScoreResult, TooManyRejectedError, check_parquet, rejected_path
from lightning_app.scoring.job_mark import JobMark, read_mark
from lightning_app.scoring.output_place import check_apart
from lightning_app.scoring.raw_tables import by_table, history_identity, names_of, scan
from lightning_app.scoring.tables import find_files

ENDINGS = (".csv", ".csv.gz", ".parquet", ".pq")
TEXT_ENDINGS = (".txt", ".tsv", ".data", ".dat", ".test")
"""Of text files too, where the package says how they are written."""


def reads_whole(package: PackageContents, data: Sequence[str]) -> bool:
    """Whether tables hold raw rows that a package can only answer together.

    Args:
        package: Contents of the package.
        data: Files, folders or glob patterns.
    """
    spec = package.manifest.raw_input
    if spec is None:
        return False
    raw_input = load_raw_input(package.manifest, package.files)
    if raw_input.by_row:
        return False
    if any(word.startswith(f"{name}=") for word in data for name in raw_input.request_tables):
        return True
    if raw_input.csv is not None:
        first = find_files(data, (*ENDINGS, *TEXT_ENDINGS))[0]
        return is_raw(names_of(first, raw_input.csv), package.manifest)
    first = find_files(data, (*ENDINGS, ".arrow", ".feather", ".ipc"))[0]
    return first.name.endswith(ENDINGS) and is_raw(column_names(first), package.manifest)


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
        further: Files of further sources that the features read, by name.
        store: Online store that holds the history of the rows; None for tables that hold it.
        namespace: Project in the store.

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
        further: Mapping[str, str] | None = None,
        store: OnlineStore | None = None,
        namespace: str = "default",
    ) -> None:
        check_parquet(output)
        if digest not in (None, package.digest):
            raise PackageError(f"package: {package.path} has the digest {package.digest}, {digest} is expected")
        self.package = Package.of(package)
        if store is not None:
            self.package = self.package.with_store(store, namespace=namespace)
        if further:
            known = {} if self.package.predictor.raw_input is None else self.package.predictor.raw_input.further
            self.package = self.package.with_tables(further_tables(further, known))
        assert self.package.predictor.raw_input is not None
        raw_input = self.package.predictor.raw_input
        manifest = self.package.manifest
        self._csv = raw_input.csv
        words: dict[str | None, list[str]] = {None: list(data)}
        if raw_input.request_tables:
            words = by_table(data, raw_input)
        endings = (*ENDINGS, *TEXT_ENDINGS) if self._csv is not None else ENDINGS
        self.paths = {table: find_files(words[table], endings) for table in words}
        self.output = output
        self.rejected = rejected_path(output)
        for path in (self.output, self.rejected):
            sources = [word for table in words for word in words[table]]
            check_apart(path, sources=sources, tables=[file for table in self.paths.values() for file in table])
        self.names = {table: names_of(paths[0], self._csv) for table, paths in self.paths.items()}
        for table, paths in self.paths.items():
            for path in paths[1:]:
                if sorted(names_of(path, self._csv)) != sorted(self.names[table]):
                    raise UsageError(f"{path}: its columns differ from those of {paths[0]}")
            check_raw_columns(self.names[table], manifest, table=table)
        self.version = f"{manifest.name}@{package.digest[:12]}" if version is None else version
        self.at = at
        if None not in self.names and contract is not None:
            raise UsageError(f"contract: {contract} given, the package takes tables {', '.join(map(str, self.names))}")
        self._contract = None
        if None in self.names:
            self._contract = chosen_contract(contract, self.package.contract, manifest, self.names[None])
        self.bound = bound
        self.overwrite = overwrite
        self._digest = package.digest
        self._history = history_identity(further or {}, store, namespace=namespace, at=at)
        self._key = self._identity()
        for path in (self.output, self.rejected):
            mark = read_mark(path)
            if path.exists() and not overwrite and (mark is None or mark.job != self._key):
                raise UsageError(f"output: {path} exists; give another output, or --overwrite to replace it")

    def _identity(self) -> str:
        """sha256 of model, tables and question: an output of the same job is finished, not in the way."""
        contract = None if self._contract is None else hashlib.sha256(self._contract.to_json()).hexdigest()
        files = [path for table in self.paths.values() for path in table]
        data = [[str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns] for path in files]
        job = [self._digest, self.version, self.at, contract, list(map(str, self.paths)), data, self._history]
        return hashlib.sha256(json.dumps(job).encode()).hexdigest()

    @property
    def unread(self) -> list[str]:
        """Columns of the tables that the package does not read."""
        return [name for table, names in self.names.items() for name in names if name not in self._columns(table)]

    def run(self) -> ScoreResult:
        """Answers the table, and writes the output; an interrupted job leaves none, a finished one is not repeated.

        Raises:
            UsageError: The table does not fit the package, or another job is writing the output.
            TooManyRejectedError: More answers were rejected than allowed; they are in the file of rejected rows, and
                there is no output.
        """
        lock = self.output.with_name(f".{self.output.name}.lock")
        held = OutputLock(lock, output=self.output)
        try:
            return self._finished() or self._run()
        finally:
            lock.unlink(missing_ok=True)
            held.release()

    def _finished(self) -> ScoreResult | None:
        """The result of the same job, if it has been done within the bound; None otherwise."""
        own, rejected = read_mark(self.output), read_mark(self.rejected)
        if self.overwrite or own is None or own.job != self._key:
            return None
        if own.num_rejected and (rejected is None or rejected.job != self._key):
            return None
        if own.num_rejected > self.bound.allowed(own.num_rows):
            return None
        num_rows = int(pa.parquet.read_metadata(self.output).num_rows)
        return ScoreResult(num_rows, own.num_rejected, self.output, self.rejected, was_finished=True)

    def _run(self) -> ScoreResult:
        csv = self._csv
        opened = scan_table if csv is None else lambda path: scan(path, csv)
        paths = [] if self._contract is None else self.paths[None]
        checked = check_tables(self._contract, paths, scan=opened)
        tables = {table: self._table(table) for table in self.paths}
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
                mark = JobMark(self._key, scored_at.isoformat(), num_asked, num_rejected + len(checked.rejected))
                if writer is not None:
                    mark.write(writer)
            finally:
                if writer is not None:
                    writer.close()
            if self._identity() != self._key:
                raise RuntimeError("data: a file was changed while it was scored; no output was written")
            self._write_rejected(first, dict(sorted(rejected.items())), mark)
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

    def _columns(self, table: str | None) -> list[str]:
        return [column.name for column in self._described(table)]

    def _described(self, table: str | None) -> list[RawColumn]:
        """Columns of a table that the package reads and the table has."""
        assert self.package.manifest.raw_input is not None
        columns = self.package.manifest.raw_input.columns
        return [column for column in columns if column.table == table and column.name in self.names[table]]

    def _table(self, table: str | None) -> pl.DataFrame:
        columns, paths = self._columns(table), self.paths[table]
        if self._csv is not None:
            parts = [scan(path, self._csv).select(columns).collect() for path in paths]
        else:
            # Ids keep their zeros (007), and a ticker may be called NA; numbers are parsed with their null words later.
            texts = [column.name for column in self._described(table) if column.type == "text"]
            null_values = () if texts else NULL_WORDS
            parts = [read_table(path, null_values=null_values, texts=texts, columns=columns) for path in paths]
        return parts[0] if len(parts) == 1 else pl.concat(parts, how="vertical_relaxed")

    def _write_rejected(self, table: pl.DataFrame, rejected: dict[int, str], mark: JobMark) -> None:
        if not rejected:
            self.rejected.unlink(missing_ok=True)  # of an earlier job, allowed to be overwritten
            return
        held = [json.dumps(table.row(row, named=True), default=str) for row in rejected]
        frame = pl.DataFrame(
            {"row": list(rejected), "reason": list(rejected.values()), "input": held},
            schema={"row": pl.Int64, "reason": pl.String, "input": pl.String},
        )
        rows = frame.to_arrow()
        with (
            replacing(self.rejected, durable=True) as partial,
            pa.parquet.ParquetWriter(partial, rows.schema) as writer,
        ):
            writer.write_table(rows)
            mark.write(writer)


def _numbered(answer: pl.DataFrame, kept: list[int]) -> pl.DataFrame:
    """Answers whose column `row` counts the rows of the tables, those that a contract rejects included."""
    if "row" not in answer.columns:
        return answer
    return answer.with_columns(pl.Series("row", kept, dtype=pl.Int64).gather(answer["row"]))
