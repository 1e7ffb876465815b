"""Files of a source: CSV, parquet, a folder of parquet files, or a glob, scanned without being read whole."""

import gzip
import io
from pathlib import Path
from typing import IO

import polars as pl

from features.definitions import CsvFormat
from features.delta_table import is_delta, read_delta
from features.versions.references import is_reference, referenced_tables

_PARQUET = (".parquet", ".pq")


def scan_file(path: str, *, csv: CsvFormat | None, root: Path | None, place: str) -> pl.LazyFrame:
    """Scans the rows of a file; every column of a text file is text.

    Args:
        path: File, folder of parquet files, glob, Delta table, or snapshot, see `features.versions.references`.
        csv: How a text file is written; None for a plain CSV file.
        root: Folder that a relative path starts from; None for the working folder.
        place: The source, for messages.

    Raises:
        ValueError: There is no such file, or it is empty.
    """
    full = Path(path).expanduser() if root is None else root / Path(path).expanduser()
    if is_reference(path):
        return _scan_files(referenced_tables(path), csv, place=place)
    if is_delta(full):
        return read_delta(full).lazy()
    is_glob = any(sign in path for sign in "*?[")
    if not is_glob and not full.exists():
        raise ValueError(f"{place}: {full} does not exist")
    if is_glob:
        parts = full.parts
        first = next(number for number, part in enumerate(parts) if any(sign in part for sign in "*?["))
        files = sorted(Path(*parts[:first]).glob("/".join(parts[first:])))
    else:
        files = sorted(full.rglob("*.parquet")) if full.is_dir() else [full]
    if not files:
        raise ValueError(f"{place}: no {'file matches' if is_glob else 'parquet file is in'} {full}")
    return _scan_files(files, csv, place=place)


def _scan_files(files: list[Path], csv: CsvFormat | None, *, place: str) -> pl.LazyFrame:
    if all(file.name.endswith(_PARQUET) for file in files):
        return _scan_parquet(files, place=place)
    try:
        return _scan_csv(files, csv or CsvFormat(), place=place)
    except pl.exceptions.NoDataError as error:
        raise ValueError(f"{place}: {files[0]} is empty") from error


def _scan_parquet(files: list[Path], *, place: str) -> pl.LazyFrame:
    """Scans parquet files; types and zones may differ between them, as they do where some have nulls."""
    schemas: list[dict[str, pl.DataType]] = []
    for file in files:
        try:
            schemas.append(dict(pl.read_parquet_schema(file)))
        except pl.exceptions.PolarsError as error:
            raise ValueError(f"{place}: {file} is no parquet file: {str(error).splitlines()[0]}") from error
    if all(schema == schemas[0] for schema in schemas[1:]):
        return pl.scan_parquet(files)
    # Columns that are not in all files are left out; one that is needed is missed by name where it is read.
    shared = [name for name in schemas[0] if all(name in schema for schema in schemas)]
    parts = [
        pl.scan_parquet(file).select(_in_utc(name, schema[name]) for name in shared)
        for file, schema in zip(files, schemas, strict=True)
    ]
    for name in shared:
        try:
            pl.concat([part.select(name) for part in parts], how="vertical_relaxed").collect_schema()
        except pl.exceptions.PolarsError as error:
            kinds = list(dict.fromkeys(str(schema[name]) for schema in schemas))
            raise ValueError(
                f"{place}: column {name!r} is {' in one file, '.join(kinds)} in another; write all files alike"
            ) from error
    return pl.concat(parts, how="vertical_relaxed")


def _in_utc(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    return column.dt.convert_time_zone("UTC") if getattr(dtype, "time_zone", None) else column


def _scan_csv(files: list[Path], csv: CsvFormat, *, place: str) -> pl.LazyFrame:
    has_header = not csv.columns
    if csv.separator == "whitespace":
        sources: list[Path] | list[IO[bytes]] = [_with_tabs(file, csv) for file in files]
        separator, skip = "\t", 0
    else:
        if len(csv.separator.encode()) != 1:
            raise ValueError(
                f"{place}.csv.separator: {csv.separator!r} given; one character, or `whitespace`, is needed"
            )
        sources, separator, skip = files, csv.separator, csv.skip_rows
    frame = pl.scan_csv(
        sources,
        separator=separator,
        has_header=has_header,
        infer_schema=False,
        null_values=["", *csv.null_values],
        skip_rows=skip,
    )
    found = frame.collect_schema().names()
    if not csv.columns:
        return frame
    if len(found) != len(csv.columns):
        raise ValueError(f"{place}.csv.columns: {len(csv.columns)} names given, {files[0]} has {len(found)} columns")
    return frame.rename(dict(zip(found, csv.columns, strict=True)))


def _with_tabs(file: Path, csv: CsvFormat) -> IO[bytes]:
    """The lines of a file whose cells are separated by runs of blanks, separated by tabs."""
    opener = gzip.open if file.name.endswith(".gz") else open
    with opener(file, "rb") as stream:
        lines = stream.read().splitlines()[csv.skip_rows :]
    return io.BytesIO(b"\n".join(b"\t".join(line.split()) for line in lines if line.strip()))
