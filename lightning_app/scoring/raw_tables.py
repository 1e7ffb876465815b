"""RawTables: files of raw rows that are read whole, with the columns that the package reads."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import polars as pl

from features.contracts.files.table_file import scan_table
from features.definitions import CsvFormat
from features.sources.files import scan_file
from features.table_reader import NULL_WORDS, column_names, read_table
from lightning_app.errors import UsageError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.format.raw_input import RawColumn
from lightning_app.packaging.runtime.contents import PackageContents
from lightning_app.packaging.runtime.raw_input import RawInput, check_raw_columns, is_raw, load_raw_input
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
    raw_input = load_raw_input(package.manifest, package.files[spec.file])
    if raw_input.by_row:
        return False
    if any(word.startswith(f"{name}=") for word in data for name in raw_input.request_tables):
        return True
    if raw_input.csv is not None:
        first = find_files(data, (*ENDINGS, *TEXT_ENDINGS))[0]
        return is_raw(_names(first, raw_input.csv), package.manifest)
    first = find_files(data, (*ENDINGS, ".arrow", ".feather", ".ipc"))[0]
    return first.name.endswith(ENDINGS) and is_raw(column_names(first), package.manifest)


class RawTables:
    """Tables of a package: a single one, named None, or one for each name of `raw_input.request_tables`.

    Args:
        data: Files, folders or glob patterns; `NAME=FILES` for a package of several tables.
        manifest: Manifest of the package.
        raw_input: Its preparation of raw rows.

    Attributes:
        paths: Files of each table.
        sources: Files, folders and patterns as the user named them.

    Raises:
        UsageError: A file is missing, or belongs to no table.
    """

    def __init__(self, data: Sequence[str], manifest: Manifest, raw_input: RawInput) -> None:
        self._manifest = manifest
        self._csv = raw_input.csv
        words: dict[str | None, list[str]] = {None: list(data)}
        if raw_input.request_tables:
            words = _by_table(data, raw_input)
        endings = (*ENDINGS, *TEXT_ENDINGS) if self._csv is not None else ENDINGS
        self.paths = {table: find_files(words[table], endings) for table in words}
        self.sources = [word for table in words for word in words[table]]

    @property
    def files(self) -> list[Path]:
        """Files of all tables."""
        return [file for paths in self.paths.values() for file in paths]

    @cached_property
    def names(self) -> dict[str | None, list[str]]:
        """Columns of each table, as its first file has them."""
        return {table: _names(paths[0], self._csv) for table, paths in self.paths.items()}

    @property
    def unread(self) -> list[str]:
        """Columns of the tables that the package does not read."""
        return [name for table, names in self.names.items() for name in names if name not in self._columns(table)]

    def check(self) -> None:
        """Checks the columns of all files.

        Raises:
            UsageError: The columns of two files of a table differ.
            RequestError: A column that the package needs is missing.
        """
        for table, paths in self.paths.items():
            for path in paths[1:]:
                if sorted(_names(path, self._csv)) != sorted(self.names[table]):
                    raise UsageError(f"{path}: its columns differ from those of {paths[0]}")
            check_raw_columns(self.names[table], self._manifest, table=table)

    def scan(self, path: Path) -> pl.LazyFrame:
        """Opens a file, with text cells as they are written.

        Args:
            path: One of `files`.
        """
        return scan_table(path) if self._csv is None else _scan(path, self._csv)

    def read(self, table: str | None) -> pl.DataFrame:
        """Reads the columns of a table that the package reads.

        Args:
            table: Its name; None for the single one.
        """
        columns, paths = self._columns(table), self.paths[table]
        if self._csv is not None:
            parts = [_scan(path, self._csv).select(columns).collect() for path in paths]
        else:
            # Ids keep their zeros (007), and a ticker may be called NA; numbers are parsed with their null words later.
            texts = [column.name for column in self._described(table) if column.type == "text"]
            null_values = () if texts else NULL_WORDS
            parts = [read_table(path, null_values=null_values, texts=texts, columns=columns) for path in paths]
        return parts[0] if len(parts) == 1 else pl.concat(parts, how="vertical_relaxed")

    def _columns(self, table: str | None) -> list[str]:
        return [column.name for column in self._described(table)]

    def _described(self, table: str | None) -> list[RawColumn]:
        """Columns of a table that the package reads and the table has."""
        assert self._manifest.raw_input is not None
        columns = self._manifest.raw_input.columns
        return [column for column in columns if column.table == table and column.name in self.names[table]]


def _names(path: Path, csv: CsvFormat | None) -> list[str]:
    return column_names(path) if csv is None else _scan(path, csv).collect_schema().names()


def _scan(path: Path, csv: CsvFormat) -> pl.LazyFrame:
    try:
        return scan_file(str(path), csv=csv, root=None, place="data")
    except (ValueError, pl.exceptions.PolarsError) as error:
        raise UsageError(f"data: {path} cannot be read as the package says: {error}") from error


def _by_table(data: Sequence[str], raw_input: RawInput) -> dict[str | None, list[str]]:
    """Files of each table, from words such as `nodes=nodes.csv`.

    Raises:
        UsageError: A word names no table, or a table has no files.
    """
    words: dict[str | None, list[str]] = {name: [] for name in raw_input.request_tables}
    for word in data:
        name, _, path = word.partition("=")
        if name not in words or not path:
            raise UsageError(
                f"data: {word!r} given, {' and '.join(f'{name}=FILE' for name in raw_input.request_tables)} needed"
            )
        words[name].append(path)
    if missing := [name for name, files in words.items() if not files]:
        raise UsageError(
            f"data: no {missing[0]}=FILE given, the package needs {' and '.join(raw_input.request_tables)}"
        )
    return words
