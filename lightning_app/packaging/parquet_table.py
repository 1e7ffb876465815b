"""Parquet files of packages: their size is looked at before anything is decoded.

Equal values take no room in a parquet file: three megabytes can be ten gigabytes of numbers.
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_app.errors import UsageError
from lightning_app.packaging.errors import PackageError

if TYPE_CHECKING:
    import polars as pl

MAX_VALUES = 2**28
"""Most numbers of the table with a row per row of the test split."""
MAX_SAMPLE_VALUES = 2**26
"""Most numbers of a sample, those in lists counted."""
_MAX_TEXT = 2**28
_LONGEST = 500


def read_table(source: Path | bytes, *, name: str, nested: bool = False, most: int = MAX_VALUES) -> "pl.DataFrame":
    """Reads a parquet file of bounded size.

    Args:
        source: The file, or its content.
        name: How errors call it.
        nested: Whether columns may be of lists.
        most: Most numbers that it may hold.

    Raises:
        PackageError: It is no parquet file, or holds more than a package does.
        UsageError: There are lists, and pyarrow is not installed.
    """
    import polars as pl

    try:
        lazy = pl.scan_parquet(io.BytesIO(source) if isinstance(source, bytes) else source, glob=False)
        schema = lazy.collect_schema()
        lists = [column for column, dtype in schema.items() if dtype.is_nested()]
        if lists and not nested:
            raise PackageError(f"{name}: column {lists[0]!r} is of {schema[lists[0]]}, numbers or text needed")
        num_rows = lazy.select(pl.len()).collect().item()  # which stands at the end of the file
        values = max(num_rows * max(1, len(schema)), _num_values(source) if lists else 0)
        if values > most:
            raise PackageError(f"{name}: {num_rows:,} rows with {values:,} values, at most {most:,} are read")
        table = lazy.collect()
        for column in table.select(pl.col(pl.String, pl.Categorical).cast(pl.String)):
            if (size := column.str.len_bytes().sum()) > _MAX_TEXT:
                raise PackageError(f"{name}: {column.name!r} has {size:,} bytes, at most {_MAX_TEXT:,} are read")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise PackageError(f"{name}: cannot be read: {str(error)[:_LONGEST]}") from error
    return table


def _num_values(source: Path | bytes) -> int:
    """Numbers in all columns, those in lists counted."""
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise UsageError("pyarrow: not installed; pip install pyarrow") from error
    try:
        found = pa.parquet.read_metadata(io.BytesIO(source) if isinstance(source, bytes) else source)
    except pa.ArrowException as error:
        raise PackageError(f"parquet: cannot be read: {str(error)[:_LONGEST]}") from error
    groups = (found.row_group(index) for index in range(found.num_row_groups))
    return sum(group.column(index).num_values for group in groups for index in range(group.num_columns))
