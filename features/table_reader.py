"""Tables of the user: reading, row names for messages, and numeric columns."""

import csv
import gzip
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from features.delta_table import is_delta, read_delta

NULL_WORDS = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "None", "-")
"""Texts of a missing number."""
_JSON = (".jsonl", ".ndjson", ".json")
_TSV = (".tsv", ".tsv.gz")
_WITH_COMMA = re.compile(r"[+-]?[\d.]*,[\d.,]*")
_TWICE = re.compile(r"(.+)_duplicated_\d+")  # polars' name for it
_LARGEST = float(np.finfo(np.float32).max)


def read_table(
    file: Path,
    *,
    null_values: Sequence[str] = (),
    texts: Sequence[str] = (),
    needed: Sequence[str | None] = (),
    columns: Sequence[str] | None = None,
    advice: str = "",
) -> pl.DataFrame:
    """Reads a whole CSV, TSV, JSON lines or parquet file.

    Args:
        file: A file of rows, by its suffix, or a Delta table; a suffix that is not known is read as CSV.
        null_values: Texts of a CSV file that are read as null, in every column.
        texts: Columns of a CSV file to read as text, so that `007` keeps its zeros.
        needed: Required columns; None entries are ignored.
        columns: Columns to read, which the file has; None reads all.
        advice: What to do about a column that is needed and absent, the end of the message.

    Raises:
        ValueError: The file is empty or not a table, or lacks a column.
    """
    delta = is_delta(file)
    if not delta and file.stat().st_size == 0:
        raise ValueError(f"{file} is empty")
    try:
        if delta:
            frame = read_delta(file)
            frame = frame if columns is None else frame.select(columns)
        elif file.name.endswith((".parquet", ".pq")):
            frame = pl.read_parquet(file, columns=None if columns is None else list(columns))
        elif file.name.endswith(_JSON):
            frame = pl.read_ndjson(file, infer_schema_length=None)
            frame = frame if columns is None else frame.select(columns)
        else:
            frame = pl.read_csv(
                file,
                separator="\t" if file.name.endswith(_TSV) else ",",
                infer_schema_length=None,
                null_values=list(null_values) or None,
                columns=columns,
                schema_overrides=dict.fromkeys(texts, pl.String),
            )
    except pl.exceptions.NoDataError as error:
        raise ValueError(f"{file} is empty") from error
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"{file} is not a readable table: {reason}{_broken_line(file)}") from error
    if any("\ufffd" in name for name in frame.columns):
        raise ValueError(f"{file}: its header is not UTF-8 ({', '.join(frame.columns)}); save the file as UTF-8")
    absent = [name for name in needed if name is not None and name not in frame.columns]
    if absent:
        raise ValueError(
            f"{file}: no column {absent[0]!r}; it has {', '.join(frame.columns)}{_separator(frame)}{advice}"
        )
    return frame


def column_names(file: Path) -> list[str]:
    """Names of the columns of a CSV, TSV, JSON lines or parquet file; no row is kept.

    Raises:
        ValueError: The file is empty or not a table.
    """
    if file.stat().st_size == 0:
        raise ValueError(f"{file} is empty")
    try:
        if file.name.endswith((".parquet", ".pq")):
            return list(pl.read_parquet_schema(file))
        if file.name.endswith(_JSON):
            return pl.scan_ndjson(file, infer_schema_length=None).collect_schema().names()
        return pl.read_csv(file, n_rows=0, separator="\t" if file.name.endswith(_TSV) else ",").columns
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{file} is not a readable table: {str(error).strip().splitlines()[0]}") from error


def _broken_line(file: Path) -> str:
    """The first line of a CSV file with more cells than the header, as a suffix of a message."""
    if not file.name.endswith(".csv"):
        return ""
    with file.open(encoding="utf-8", errors="replace", newline="") as lines:
        rows = csv.reader(lines)
        try:
            header = next(rows)
            longer = next((row for row in rows if len(row) > len(header)), None)
        except (csv.Error, StopIteration):
            return ""
    if longer is None:
        return ""
    mark = next((mark for mark in ";\t|" if len(header) == 1 and mark in header[0]), None)
    advice = f"; its columns seem to be separated by {mark!r}, save it with commas" if mark else ""
    return f" (line {rows.line_num} has {len(longer)} cells, the header {len(header)}{advice})"


def _separator(frame: pl.DataFrame) -> str:
    if frame.width == 1 and (separator := next((mark for mark in ";\t|" if mark in frame.columns[0]), None)):
        return f"; its columns seem to be separated by {separator!r}, save it with commas"
    return ""


def row_name(file: str, index: int) -> str:
    """Name of a row as a user counts: `line 18` of a CSV file with its header, else `row 17`.

    Args:
        file: The file.
        index: Index of the row in the table as read, from 0.
    """
    if not file.endswith((".csv", ".csv.gz")):
        return f"row {index + 1}"
    return f"line {index + 2}" if _one_line_per_row(file) else f"row {index + 1} after the header"


def _one_line_per_row(file: str) -> bool:
    """Whether every row of a CSV file is one line, i.e. no cell has a line break; True if the file does not exist."""
    path = Path(file).expanduser()
    if not path.is_file():
        return True
    opener = gzip.open if file.endswith(".gz") else open
    with opener(path, "rb") as stream:
        return all(line.count(b'"') % 2 == 0 for line in stream)


def number_columns(
    frame: pl.DataFrame,
    *,
    file: str,
    taken: Sequence[str | None],
    exclude: Sequence[str],
    key: str,
    booleans: bool = False,
) -> list[str]:
    """Names of all columns without another role; columns are left out only if named.

    Args:
        frame: The table.
        file: The file, for messages.
        taken: Columns with another role.
        exclude: Columns to leave out.
        key: Config key of `exclude`, for messages.
        booleans: Accept boolean columns as numbers.

    Raises:
        ValueError: A column is empty or not numeric, or none is left.
    """
    unknown = [name for name in exclude if name not in frame.columns]
    if unknown:
        raise ValueError(f"{key}: {file} has no column {unknown[0]!r}; it has {', '.join(frame.columns)}")
    names = [name for name in frame.columns if name not in taken and name not in exclude]
    for name in names:
        if (twice := _TWICE.fullmatch(name)) and twice[1] in frame.columns and file.endswith((".csv", ".csv.gz")):
            raise ValueError(
                f"{file}: column {twice[1]!r} occurs twice in the header, the second is read as {name!r}; "
                f"{_leave_out(name, key)}"
            )
        if frame.height and not frame[name].count():
            raise ValueError(f"{file}: column {name!r} is empty in every row; {_leave_out(name, key)}")
        if not (booleans and frame.schema[name] == pl.Boolean):
            as_numbers(frame[name], file=file, advice=_leave_out(name, key))
    if not names:
        roles = [name for name in (*taken, *exclude) if name]
        raise ValueError(f"{file} has no column of numbers besides {roles}; it has {', '.join(frame.columns)}")
    return names


def _leave_out(name: str, key: str) -> str:
    return f"mend it, or leave the column out by name: {key}: [{name}]"


def as_numbers(column: pl.Series, *, file: str, advice: str = "mend the file", booleans: bool = False) -> pl.Series:
    """Converts a column to float64, null where a cell is empty.

    Args:
        column: Its rows in file order.
        file: The file, for messages.
        advice: Advice at the end of the message.
        booleans: Convert booleans to 0 and 1.

    Raises:
        ValueError: A cell is not a number, or too large for float32.
    """
    if column.dtype == pl.String:
        texts = column.str.strip_chars()
        texts = texts.set(texts.is_in(list(NULL_WORDS)), None)
        numbers = texts.cast(pl.Float64, strict=False)
        wrong = numbers.is_null() & texts.is_not_null()
        if (first := wrong.arg_max()) is not None and wrong.any():
            value = str(column[first])
            more = f" and {int(wrong.sum()) - 1:,} more cells like it" if wrong.sum() > 1 else ""
            comma = "; write 1234.5: a decimal point, no decimal comma, no separator of thousands"
            hint = comma if _WITH_COMMA.fullmatch(value.strip()) else ""
            raise ValueError(
                f"{file}: column {column.name!r} holds {value!r} in {row_name(file, first)}{more}, expected a "
                f"number{hint}; {advice}"
            )
    elif column.dtype.is_numeric() or column.dtype in (pl.Null, pl.Boolean):
        if column.dtype == pl.Boolean and column.count() and not booleans:
            raise ValueError(f"{file}: column {column.name!r} holds truth values, expected numbers; {advice}")
        numbers = column.cast(pl.Float64)
    else:
        raise ValueError(f"{file}: column {column.name!r} holds {column.dtype}, expected numbers; {advice}")
    check_float32(numbers, file=file)
    return numbers


def check_float32(numbers: pl.Series, *, file: str) -> None:
    """Raises if a finite number exceeds float32, where it would silently become infinite.

    Raises:
        ValueError: Names column, row and value of the first one.
    """
    too_large = (numbers.is_finite() & (numbers.abs() > _LARGEST)).fill_null(value=False)
    if (first := too_large.arg_max()) is not None and too_large.any():
        raise ValueError(
            f"{file}: column {numbers.name!r} holds {numbers[first]:g} in {row_name(file, first)}, more than float32 "
            f"can hold ({_LARGEST:.3g}); mend the value, or rescale the column"
        )
