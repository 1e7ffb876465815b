"""Files of a source: CSV, TSV, JSON lines, parquet, a folder of parquet files, or a glob, scanned lazily."""

import gzip
import io
from pathlib import Path
from typing import IO

import polars as pl

from features.definitions import CsvFormat
from features.definitions.cells import BLANKS
from features.delta_table import is_delta, read_delta
from features.versions.references import is_reference, referenced_tables

_PARQUET = (".parquet", ".pq")
_JSON = (".jsonl", ".ndjson", ".json")
_TSV = (".tsv", ".tsv.gz")


def scan_file(path: str, *, csv: CsvFormat | None, root: Path | None, place: str) -> pl.LazyFrame:
    """Scans the rows of a file; every column of a CSV or TSV file is text.

    Args:
        path: File, folder of parquet files, glob, Delta table, or snapshot, see `features.versions.references`. A name
            that ends in .parquet or .pq is a parquet file, in .jsonl, .ndjson or .json a file of JSON lines; in .tsv a
            text file separated by tabs, and all others are text files as `csv` says.
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
    if all(file.name.endswith(_JSON) for file in files):
        return pl.concat([_scan_json_lines(file, place=place) for file in files], how="diagonal_relaxed")
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


def _scan_json_lines(file: Path, *, place: str) -> pl.LazyFrame:
    """Scans a file of one JSON object per line; a key that a line lacks is missing."""
    try:
        return pl.scan_ndjson(file, infer_schema_length=None).collect().lazy()
    except pl.exceptions.PolarsError as error:
        raise ValueError(
            f"{place}: {file} is no file of JSON lines, one object per line: {str(error).splitlines()[0]}"
        ) from error


def _in_utc(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    return column.dt.convert_time_zone("UTC") if getattr(dtype, "time_zone", None) else column


def _scan_csv(files: list[Path], csv: CsvFormat, *, place: str) -> pl.LazyFrame:
    if not csv.columns:
        return _scan_cells(files, csv, has_header=True, place=place)
    frame = _scan_cells(files, csv, has_header=False, place=place)
    found = frame.collect_schema().names()
    first = [str(cell).strip() for row in frame.head(1).collect().rows() for cell in row]
    if first and set(first) <= set(csv.columns) and len(set(first)) == len(first):  # a header all the same
        return _scan_cells(files, csv, has_header=True, place=place)
    if len(found) != len(csv.columns):
        raise ValueError(f"{place}.csv.columns: {len(csv.columns)} names given, {files[0]} has {len(found)} columns")
    return frame.rename(dict(zip(found, csv.columns, strict=True)))


def _scan_cells(files: list[Path], csv: CsvFormat, *, has_header: bool, place: str) -> pl.LazyFrame:
    """Scans files whose first line is a header or not; all cells as text."""
    if csv.separator == "whitespace":
        sources: list[Path] | list[IO[bytes]] = [_with_tabs(file, csv) for file in files]
        separator, skip = "\t", 0
    else:
        if len(csv.separator.encode()) != 1:
            raise ValueError(
                f"{place}.csv.separator: {csv.separator!r} given; one character, or `whitespace`, is needed"
            )
        tabs = csv.separator == "," and all(file.name.endswith(_TSV) for file in files)
        sources, separator, skip = files, "\t" if tabs else csv.separator, csv.skip_rows
    if len(csv.quote.encode()) > 1:
        raise ValueError(f"{place}.csv.quote: {csv.quote!r} given; one character, or nothing, is needed")
    nulls = ["", *csv.null_values]
    frame = pl.scan_csv(
        sources,
        separator=separator,
        has_header=has_header,
        infer_schema=False,
        null_values=None if csv.trim else nulls,
        skip_rows=skip,
        comment_prefix=csv.comment or None,
        quote_char=csv.quote or None,
    )
    found = frame.collect_schema().names()
    if csv.trim:
        cells = [pl.col(name).str.strip_chars(BLANKS).alias(name.strip(BLANKS)) for name in found]
        frame = frame.select(cells).with_columns(pl.when(~pl.all().is_in(nulls)).then(pl.all()))
        frame = frame.filter(~pl.all_horizontal(pl.all().is_null()))
    return frame


def _with_tabs(file: Path, csv: CsvFormat) -> IO[bytes]:
    """The lines of a file whose cells are separated by runs of blanks, separated by tabs."""
    opener = gzip.open if file.name.endswith(".gz") else open
    with opener(file, "rb") as stream:
        lines = stream.read().splitlines()[csv.skip_rows :]
    return io.BytesIO(b"\n".join(b"\t".join(line.split()) for line in lines if line.strip()))
