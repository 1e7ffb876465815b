"""Further tables: files that the features of a package read beside the table of a request."""

from collections.abc import Mapping, Sequence

import polars as pl

from features.sources.files import scan_file
from lightning_app.errors import UsageError
from lightning_app.packaging.runtime.raw_input import FurtherTable


def further_files(words: Sequence[str]) -> dict[str, str]:
    """Files of further tables, from words such as `sales=sales.csv`.

    Args:
        words: The words.

    Raises:
        UsageError: A word names no file, or a table twice.
    """
    files: dict[str, str] = {}
    for word in words:
        name, _, path = word.partition("=")
        if not name or not path:
            raise UsageError(f"table: {word!r} given, SOURCE=FILE is needed")
        if name in files:
            raise UsageError(f"table: {name!r} given twice, {files[name]} and {path}; give a folder or a pattern")
        files[name] = path
    return files


def further_tables(files: Mapping[str, str], further: Mapping[str, FurtherTable]) -> dict[str, pl.DataFrame]:
    """Reads the columns of further tables that a package reads; those that it does not know stay empty.

    Args:
        files: File, folder of parquet files or glob pattern of each table by name.
        further: Tables that the package reads.

    Raises:
        UsageError: A file is missing, or cannot be read.
    """
    tables: dict[str, pl.DataFrame] = {}
    for name, path in files.items():
        if name not in further:
            tables[name] = pl.DataFrame()
            continue
        try:
            frame = scan_file(path, csv=further[name].csv, root=None, place=f"table {name!r}")
            names = frame.collect_schema().names()
            tables[name] = frame.select(column for column in further[name].columns if column in names).collect()
        except (ValueError, pl.exceptions.PolarsError) as error:
            raise UsageError(f"table: {name}={path} cannot be read: {error}") from error
    return tables
