"""Tables of the user: file lookup; reading and numeric columns are in `features.table_reader`."""

from pathlib import Path

from datamodules.sources import data_root
from features.delta_table import is_delta
from features.table_reader import NULL_WORDS, as_numbers, check_float32, number_columns, read_table, row_name
from features.versions.references import is_reference, referenced_file

__all__ = ["NULL_WORDS", "as_numbers", "check_float32", "number_columns", "read_table", "row_name", "table_path"]

_SUFFIXES = (".csv", ".csv.gz", ".parquet", ".pq")


def table_path(path: str | Path, *, root: str | Path | None, key: str) -> Path:
    """Locates a table: the path itself, then below the data root.

    Args:
        path: Path from the config; `snapshot:NAME@ID` or a Delta table, see `features.versions.references`.
        root: The data root, see `data_root`.
        key: Config key of the path, for messages.

    Raises:
        FileNotFoundError: Neither file exists.
        ValueError: It is not a CSV or parquet file.
    """
    if is_reference(path):
        return _checked(_of_snapshot(path, key), key)
    candidates = [Path(path).expanduser(), data_root(root) / path]
    if (delta := next((candidate for candidate in candidates if is_delta(candidate)), None)) is not None:
        return referenced_file(delta)
    file = next((candidate for candidate in candidates if candidate.is_file()), None)
    if file is None:
        raise FileNotFoundError(f"{key}: {path!r} does not exist; looked for {' and '.join(map(str, candidates))}")
    return _checked(file, key)


def _of_snapshot(path: str | Path, key: str) -> Path:
    try:
        return referenced_file(path)
    except (ValueError, FileNotFoundError) as error:
        raise type(error)(f"{key}: {error}") from error


def _checked(file: Path, key: str) -> Path:
    if not file.name.endswith(_SUFFIXES):
        raise ValueError(f"{key}: {file} ends with {file.suffix!r}; allowed: {', '.join(_SUFFIXES)}")
    return file
