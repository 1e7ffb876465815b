"""Parquet files of packages, read with a size limit that is checked before decoding.

Repeated values compress to almost nothing: a file of three megabytes may decode to ten gigabytes.
"""

import io
from collections.abc import Collection, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_app.errors import UsageError
from lightning_app.packaging.format.errors import PackageError

if TYPE_CHECKING:
    import polars as pl

MAX_VALUES = 2**28
"""Maximum number of values in a table with one row per test row."""
MAX_SAMPLE_VALUES = 2**26
"""Maximum number of values in a sample, including those in lists."""
_MAX_TEXT = 2**28
_LONGEST = 500


def read_table(source: Path | bytes, *, name: str, nested: bool = False, most: int = MAX_VALUES) -> "pl.DataFrame":
    """Reads a parquet file of bounded size.

    Args:
        source: Path or content of the file.
        name: Name of the file, for messages.
        nested: Whether list columns are allowed.
        most: Maximum number of values.

    Raises:
        PackageError: The file is no parquet file, or exceeds the limits of a package.
        UsageError: The file has list columns, and pyarrow is not installed.
    """
    import polars as pl

    try:
        lazy = pl.scan_parquet(io.BytesIO(source) if isinstance(source, bytes) else source, glob=False)
        schema = lazy.collect_schema()
        lists = [column for column, dtype in schema.items() if dtype.is_nested()]
        if lists and not nested:
            raise PackageError(f"{name}: column {lists[0]!r} is of {schema[lists[0]]}, numbers or text needed")
        for column, dtype in schema.items():
            leaf = _leaf(dtype)
            if leaf == pl.Binary or leaf.is_nested():
                raise PackageError(f"{name}: column {column!r} is of {dtype}, which no package holds")
        texts = [column for column, dtype in schema.items() if _is_text(_leaf(dtype))]
        num_rows = lazy.select(pl.len()).collect().item()  # from the footer; decodes nothing
        values = max(num_rows * max(1, len(schema)), _num_values(source) if lists else 0)
        if values > most:
            raise PackageError(f"{name}: {num_rows:,} rows with {values:,} values, at most {most:,} are read")
        if texts and find_spec("pyarrow"):
            _check_text(name, "the text", _text_bytes(source, texts))
        table = lazy.collect()
        for series in map(table.get_column, texts):  # repeated strings are stored once in the file
            while series.dtype.is_nested():
                series = series.explode()
            _check_text(name, repr(series.name), int(series.cast(pl.String).str.len_bytes().sum()))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise PackageError(f"{name}: cannot be read: {str(error)[:_LONGEST]}") from error
    return table


def _check_text(name: str, of: str, size: int) -> None:
    if size > _MAX_TEXT:
        raise PackageError(f"{name}: {of} has {size:,} bytes, at most {_MAX_TEXT:,} are read")


def _leaf(dtype: "pl.DataType") -> Any:
    """Type of the values in a (nested) list column."""
    while (inner := getattr(dtype, "inner", None)) is not None:
        dtype = inner
    return dtype


def _is_text(dtype: Any) -> bool:
    import polars as pl

    return dtype in (pl.String, pl.Categorical, pl.Enum)


def _num_values(source: Path | bytes) -> int:
    """Number of values in all columns, including those in lists."""
    return sum(chunk.num_values for chunk in _chunks(source))


def _text_bytes(source: Path | bytes, columns: Collection[str]) -> int:
    """Uncompressed size of some columns, of lists too, in bytes."""
    paths = tuple(f"{column}." for column in columns)
    return sum(
        chunk.total_uncompressed_size for chunk in _chunks(source) if f"{chunk.path_in_schema}.".startswith(paths)
    )


def _chunks(source: Path | bytes) -> Iterator[Any]:
    """Metadata of each column chunk, from the footer of the file."""
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise UsageError("pyarrow: not installed; pip install pyarrow") from error
    try:
        metadata = pa.parquet.read_metadata(io.BytesIO(source) if isinstance(source, bytes) else source)
    except pa.ArrowException as error:
        raise PackageError(f"parquet: cannot be read: {str(error)[:_LONGEST]}") from error
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        yield from map(group.column, range(group.num_columns))
