"""Raw tables of a scoring job: which files they are, and how they are read."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from features.definitions import CsvFormat
from features.sources.files import scan_file
from features.store import OnlineStore
from features.table_reader import column_names
from lightning_app.errors import UsageError
from lightning_app.packaging.runtime.raw_input import RawInput


def names_of(path: Path, csv: CsvFormat | None) -> list[str]:
    """Columns of a table.

    Args:
        path: Its file.
        csv: How a text file is written; None for a plain CSV file.

    Raises:
        UsageError: It cannot be read.
    """
    return column_names(path) if csv is None else scan(path, csv).collect_schema().names()


def scan(path: Path, csv: CsvFormat) -> pl.LazyFrame:
    """Opens a table with text cells as they are written.

    Args:
        path: Its file.
        csv: How a text file is written.

    Raises:
        UsageError: It cannot be read.
    """
    try:
        return scan_file(str(path), csv=csv, root=None, place="data")
    except (ValueError, pl.exceptions.PolarsError) as error:
        raise UsageError(f"data: {path} cannot be read as the package says: {error}") from error


def by_table(data: Sequence[str], raw_input: RawInput) -> dict[str | None, list[str]]:
    """Files of each table, from words such as `nodes=nodes.csv`.

    Args:
        data: The words.
        raw_input: Preparation of a package, which names the tables.

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


def history_identity(
    files: Mapping[str, str], store: OnlineStore | None, *, namespace: str, at: str | Sequence[str] | None
) -> list[str]:
    """What tells the history of one job from that of another; never twice the same where that cannot be known.

    Args:
        files: Files of further tables by name.
        store: Online store; None without one.
        namespace: Project in the store.
        at: Time that is asked about; None for that of the rows, or for now.

    Raises:
        StoreError: The store cannot be reached.
    """
    parts: list[str] = []
    for name, word in sorted(files.items()):
        path = Path(word)
        status = path.stat() if path.is_file() else None
        version = str(time.time_ns()) if status is None else f"{status.st_size} {status.st_mtime_ns}"
        parts += [name, str(path.resolve()), version]
    if store is not None:
        marks = [f"{view} {mark}" for view, mark in sorted(store.marks(namespace).items())]
        parts += [store.url, namespace, *marks, "" if at is not None else str(time.time_ns())]
    return parts
