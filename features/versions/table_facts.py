"""Facts of a table in bounded memory: schema, rows, and the ranges of its clocks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from features.versions.manifest import ClockRange

TABLE_SUFFIXES = (".csv", ".csv.gz", ".parquet", ".pq")
CLOCKS = ("event_time", "availability_time", "load_time")
NAMES: dict[str, tuple[str, ...]] = {
    "event_time": ("event_time", "event_timestamp", "timestamp", "datetime", "time", "ts", "ds", "date"),
    "availability_time": ("availability_time", "available_at", "available_time", "available"),
    "load_time": ("load_time", "loaded_at", "ingested_at", "created_timestamp", "created_at", "created", "inserted_at"),
}
"""Column names by which a clock is detected, in this order; compared in lower case."""
_SAMPLE_ROWS = 10_000


def is_table(path: str | Path) -> bool:
    """Whether a file name is that of a CSV or parquet table."""
    return str(path).lower().endswith(TABLE_SUFFIXES)


def scan_table(file: Path) -> pl.LazyFrame:
    """Scans a CSV or parquet file; dates and times of a CSV file are parsed.

    Raises:
        ValueError: It is empty or not a table.
    """
    if file.stat().st_size == 0:
        raise ValueError(f"{file} is empty")
    try:
        if str(file).lower().endswith((".parquet", ".pq")):
            frame = pl.scan_parquet(file, glob=False)
            frame.collect_schema()
            return frame
        return _scan_csv(file)
    except pl.exceptions.PolarsError as error:
        raise unreadable(file, error) from error


def _scan_csv(file: Path) -> pl.LazyFrame:
    """A scan whose types hold for every row: inferred from the first rows, and from all of them where that fails."""
    frame = pl.scan_csv(file, infer_schema_length=_SAMPLE_ROWS, try_parse_dates=True, glob=False)
    try:
        frame.select(pl.all().null_count()).collect(engine="streaming")
    except pl.exceptions.ComputeError:
        frame = pl.scan_csv(file, infer_schema_length=None, try_parse_dates=True, glob=False)
    frame.collect_schema()
    return frame


def unreadable(file: Path, error: Exception) -> ValueError:
    """Error of a file that is not a table."""
    return ValueError(f"{file} is not a readable table: {(str(error).strip() or 'no reason').splitlines()[0]}")


def detect_clocks(schema: Mapping[str, pl.DataType]) -> dict[str, str]:
    """Columns of the clocks, by name and type; a lone column of times is the event time whatever its name.

    Args:
        schema: Columns and types.
    """
    times = {name.lower(): name for name, kind in schema.items() if kind.is_temporal() and kind != pl.Time}
    found = {
        clock: times[name]
        for clock in CLOCKS
        if (name := next((name for name in NAMES[clock] if name in times), None)) is not None
    }
    if "event_time" not in found and len(left := [name for name in times.values() if name not in found.values()]) == 1:
        found["event_time"] = left[0]
    return found


def count_rows(frame: pl.LazyFrame, clocks: Sequence[str]) -> tuple[int, dict[str, tuple[object, object]]]:
    """Rows of a table, and smallest and largest value of some of its columns, in one pass.

    Args:
        frame: The table.
        clocks: Columns.
    """
    ranges = [pl.col(name).min().alias(f"first {name}") for name in clocks]
    ranges += [pl.col(name).max().alias(f"last {name}") for name in clocks]
    answer = frame.select(pl.len().alias("rows"), *ranges).collect(engine="streaming").row(0, named=True)
    return answer["rows"], {name: (answer[f"first {name}"], answer[f"last {name}"]) for name in clocks}


def merge_ranges(
    columns: Mapping[str, str], given: Mapping[str, str], ranges: Sequence[Mapping[str, tuple[object, object]]]
) -> dict[str, ClockRange]:
    """Ranges of the clocks over several tables.

    Args:
        columns: Column of each clock.
        given: Those of them that the user named.
        ranges: Smallest and largest value of each column, by table.

    Raises:
        ValueError: The column has values of different types in different tables.
    """
    clocks = {}
    for clock, column in columns.items():
        ends = [table[column] for table in ranges if column in table]
        try:
            first = min((end[0] for end in ends if end[0] is not None), default=None)  # type: ignore[type-var]
            last = max((end[1] for end in ends if end[1] is not None), default=None)  # type: ignore[type-var]
        except TypeError as error:
            raise ValueError(f"{clock}: column {column!r} has different types in different files ({error})") from error
        clocks[clock] = ClockRange(
            column=column,
            detected=clock not in given,
            first=None if first is None else str(first),
            last=None if last is None else str(last),
        )
    return clocks
