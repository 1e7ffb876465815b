"""Input tables: parquet, CSV, Arrow and JSON-lines files, read as a stream of parts."""

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.json
import pyarrow.parquet

from lightning_app.errors import UsageError
from lightning_app.packaging.runtime.text.tokenizer import TEXT, Tokenizer

_PARQUET = (".parquet", ".pq")
_CSV = (".csv", ".tsv")
_ARROW = (".arrow", ".feather", ".ipc")
_JSON = (".jsonl", ".ndjson")
_TEXT = (".txt",)
_NOT_COUNTED = (*_CSV, *_JSON, *_TEXT)
ENDINGS = (*_PARQUET, *_CSV, *_ARROW, *_JSON)
_DOCUMENTS = pa.schema([("document", pa.int64()), (TEXT, pa.string())])
MISSING = tuple(pa.csv.ConvertOptions().null_values)
"""Strings that mean a missing number in a CSV file: the empty string, NA, NaN, null, ..."""


@dataclass(frozen=True)
class Part:
    """Consecutive rows of a file.

    Attributes:
        first: Number of the first row, counted over all files.
        table: The rows.
    """

    first: int
    table: pa.Table


class TableFiles:
    """Files with the same schema, read in the order of their names.

    In CSV files every column is read as text, exactly as written (`01234`, `NA`, a number of thirty digits); empty
    cells are missing.

    A text file is a table of its documents: their number in the file as `document`, and `text`.

    Args:
        paths: Files, folders of files, or glob patterns.
        tokenizer: Splits text files into documents; without one they are refused.

    Attributes:
        sources: `paths` as the user named them.
        paths: The files.
        schema: Their common schema.

    Raises:
        UsageError: A file does not exist or has an unknown extension, a column occurs twice, or the schemas differ.
    """

    def __init__(self, paths: Sequence[str], *, tokenizer: Tokenizer | None = None) -> None:
        self.sources = tuple(paths)
        self.tokenizer = tokenizer
        self.paths = find_files(paths, ENDINGS if tokenizer is None else (*ENDINGS, *_TEXT))
        self.schema = self._schema(self.paths[0])
        for path in self.paths[1:]:
            if not self._schema(path).equals(self.schema):
                raise UsageError(f"{path}: its columns or their types differ from those of {self.paths[0]}")

    @property
    def missing(self) -> tuple[str, ...]:
        """Strings that mean a missing number."""
        return MISSING if any(path.suffix in _CSV for path in self.paths) else ()

    @property
    def num_rows(self) -> int | None:
        """Number of rows in all files; None if counting them would require reading the files."""
        if any(path.suffix in _NOT_COUNTED for path in self.paths):
            return None
        return sum(self._num_rows(path) for path in self.paths)

    def parts(self, num_rows: int, *, first: int = 0) -> Iterator[Part]:
        """Yields the rows in parts.

        Args:
            num_rows: Maximum number of rows per part.
            first: Number of the first row to yield.
        """
        row = 0
        for path in self.paths:
            if path.suffix not in _NOT_COUNTED and row + (size := self._num_rows(path)) <= first:
                row += size
                continue
            for table in self.read(path, num_rows):
                after = row + len(table)
                if after > first:
                    start = max(0, first - row)
                    yield Part(row + start, table.slice(start))
                row = after

    def from_row(self, first: int) -> tuple[list[Path], int]:
        """Files from the one that contains a row.

        Args:
            first: Number of the row.

        Returns:
            paths: The files.
            left_out: Number of rows of the first file that come before the row.
        """
        row = 0
        for index, path in enumerate(self.paths):
            if path.suffix in _NOT_COUNTED:
                return self.paths[index:], first - row
            if row + (size := self._num_rows(path)) > first:
                return self.paths[index:], first - row
            row += size
        return [], 0

    def read(self, path: Path, num_rows: int) -> Iterator[pa.Table]:
        """Yields the rows of one file.

        Args:
            path: The file.
            num_rows: Maximum number of rows per part.

        Raises:
            UsageError: The file is damaged, or a line has a different number of cells.
        """
        try:
            yield from self._read(path, num_rows)
        except pa.ArrowInvalid as error:
            # PyArrow cannot read a null in a parquet column of fixed-size arrays.
            arrays = "; a row has nothing in a column of arrays: save that column as lists"
            advice = arrays if "Expected all lists to be of size" in str(error) else ""
            raise UsageError(f"{path}: cannot be read: {error}{advice}") from error

    def _read(self, path: Path, num_rows: int) -> Iterator[pa.Table]:
        if path.suffix in _PARQUET:
            with pa.parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(num_rows):
                    yield pa.Table.from_batches([batch])
        elif path.suffix in _CSV:
            with self._open_csv(path, self.schema.names) as reader:
                yield from _cut(reader, num_rows)
        elif path.suffix in _JSON:
            with _open_json(path, schema=self.schema) as reader:
                yield from _cut(reader, num_rows)
        elif path.suffix in _TEXT:
            assert self.tokenizer is not None
            documents = self.tokenizer.documents(_read_text(path))
            columns = [pa.array(range(len(documents)), pa.int64()), pa.array(documents, pa.string())]
            yield from _cut(iter([pa.record_batch(columns, schema=_DOCUMENTS)]), num_rows)
        else:
            with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
                yield from _cut((reader.get_batch(index) for index in range(reader.num_record_batches)), num_rows)

    def _schema(self, path: Path) -> pa.Schema:
        try:
            if path.suffix in _PARQUET:
                schema = pa.parquet.read_schema(path)
            elif path.suffix in _TEXT:
                schema = _DOCUMENTS
            elif path.suffix in _CSV:
                with self._open_csv(path) as reader:
                    schema = pa.schema([(name, pa.string()) for name in reader.schema.names])
            elif path.suffix in _JSON:
                with _open_json(path) as reader:
                    schema = reader.schema
            else:
                with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
                    schema = reader.schema
        except pa.ArrowInvalid as error:
            raise UsageError(f"{path}: cannot be read: {error}") from error
        if twins := [name for name in schema.names if schema.names.count(name) > 1]:
            raise UsageError(f"{path}: column {twins[0]!r} occurs twice; give each column its own name")
        return pa.schema([field.with_type(_plain(field.type)) for field in schema])

    def _open_csv(self, path: Path, names: Sequence[str] = ()) -> pa.csv.CSVStreamingReader:
        return pa.csv.open_csv(
            path,
            read_options=pa.csv.ReadOptions(block_size=8 << 20),
            parse_options=pa.csv.ParseOptions(
                delimiter="\t" if path.suffix == ".tsv" else ",", newlines_in_values=True
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )

    def _num_rows(self, path: Path) -> int:
        if path.suffix in _PARQUET:
            return int(pa.parquet.read_metadata(path).num_rows)
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
            return sum(reader.get_batch(index).num_rows for index in range(reader.num_record_batches))


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8 ({error}); save it as UTF-8") from error


def _open_json(path: Path, schema: pa.Schema | None = None) -> pa.RecordBatchReader:
    """Opens JSON lines; their schema is that of the first 8 MB, which all lines keep.

    Args:
        path: The file.
        schema: Of the lines; None to find it out.
    """
    return pa.json.open_json(
        path,
        read_options=pa.json.ReadOptions(block_size=8 << 20),
        parse_options=pa.json.ParseOptions(explicit_schema=schema, newlines_in_values=False),
    )


def _plain(dtype: pa.DataType) -> pa.DataType:
    """Value type of a dictionary-encoded column, whose codes differ between files; text where nothing is known."""
    if pa.types.is_null(dtype):
        return pa.string()
    return dtype.value_type if pa.types.is_dictionary(dtype) else dtype


def find_files(paths: Sequence[str], endings: Sequence[str]) -> list[Path]:
    """Files that the user named, in the order of their names.

    Args:
        paths: Files, folders of files, or glob patterns.
        endings: Allowed ends of their names.

    Raises:
        UsageError: A path does not exist, or a name ends otherwise.
    """
    files: list[Path] = []
    for source in paths:
        path = Path(source)
        if path.is_dir():
            matches = sorted(file for file in path.iterdir() if file.name.endswith(tuple(endings)))
        elif path.is_file():
            matches = [path]
        else:
            matches = sorted(map(Path, glob.glob(source)))  # noqa: PTH207  # pathlib globs no absolute patterns
        if not matches:
            raise UsageError(f"data: {source!r} does not exist, or contains no {', '.join(endings)}")
        files += matches
    for path in files:
        if not path.name.endswith(tuple(endings)):
            raise UsageError(f"data: {path} ends in {path.suffix or 'nothing'!r}, allowed: {', '.join(endings)}")
    return files


def as_frame(table: pa.Table) -> pl.DataFrame:
    """A table for polars, which would give a column without a name, such as the index that pandas writes, another one.

    Args:
        table: Rows.
    """
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    frame.columns = table.column_names
    return frame


def _cut(batches: Iterator[pa.RecordBatch], num_rows: int) -> Iterator[pa.Table]:
    for batch in batches:
        for start in range(0, batch.num_rows, num_rows):
            yield pa.Table.from_batches([batch.slice(start, num_rows)])
