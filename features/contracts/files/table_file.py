"""Table files as lazy frames: parquet and Arrow with their types, every column of a CSV file as text."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

ENDINGS = (".parquet", ".pq", ".csv", ".csv.gz", ".arrow", ".feather", ".ipc")


def scan_table(path: str | Path) -> pl.LazyFrame:
    """Opens a table without reading its rows.

    Args:
        path: The file. Columns of a CSV file are text, exactly as written; empty cells are null.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: It is empty, or not a table.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist" if not file.exists() else f"{file} is a folder; name a file")
    if not file.name.endswith(ENDINGS):
        raise ValueError(f"{file} ends with {file.suffix!r}; allowed: {', '.join(ENDINGS)}")
    if file.stat().st_size == 0:
        raise ValueError(f"{file} is empty")
    try:
        if file.name.endswith((".csv", ".csv.gz")):
            frame = pl.scan_csv(file, infer_schema=False)
        elif file.name.endswith((".parquet", ".pq")):
            frame = pl.scan_parquet(file)
        else:
            frame = pl.scan_ipc(file)
        names = frame.collect_schema().names()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(file, error) from error
    twins = [name for name in names if "_duplicated_" in name and name.rpartition("_duplicated_")[0] in names]
    if twins and file.name.endswith((".csv", ".csv.gz")):
        raise ValueError(f"{file}: column {twins[0].rpartition('_duplicated_')[0]!r} occurs twice in the header")
    return frame


def reading(file: str | Path, read: Callable[[], pl.DataFrame]) -> pl.DataFrame:
    """Runs a query on a file.

    Args:
        file: Name of the file for messages.
        read: The query.

    Raises:
        ValueError: The file is damaged, or a line has too many cells.
    """
    try:
        return read()
    except pl.exceptions.PolarsError as error:
        raise unreadable(file, error) from error


def unreadable(file: str | Path, error: Exception) -> ValueError:
    """The error of a file that is no readable table.

    Args:
        file: Name of the file.
        error: What polars says.
    """
    return ValueError(f"{file} is not a readable table: {str(error).strip().splitlines()[0]}")
