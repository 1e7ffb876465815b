"""Structs and lists of a table: fields as columns, inner types, values without their nesting."""

import polars as pl
from polars.datatypes import DataType, DataTypeClass


def flatten_structs(table: pl.DataFrame) -> pl.DataFrame:
    """A table whose struct columns are replaced by a column `NAME.FIELD` for each field.

    Args:
        table: Any table; a field that would take the name of another column keeps its struct away.
    """
    while any(isinstance(dtype, pl.Struct) for dtype in table.dtypes):
        columns: dict[str, pl.Series] = {}
        for series in table.iter_columns():
            if isinstance(series.dtype, pl.Struct):
                fields = {f"{series.name}.{field}": series.struct.field(field) for field in series.struct.fields}
                columns |= {name: values.rename(name) for name, values in fields.items() if name not in table.columns}
            else:
                columns[series.name] = series
        table = pl.DataFrame(list(columns.values()))
    return table


def inner_type(dtype: DataType | DataTypeClass) -> DataType | DataTypeClass:
    """Type of the values inside all lists.

    Args:
        dtype: Type of a column.
    """
    while isinstance(dtype, pl.List | pl.Array):
        dtype = dtype.inner
    return dtype


def list_depth(dtype: DataType | DataTypeClass) -> int:
    """How many lists values lie in; 0 for a column of plain values.

    Args:
        dtype: Type of a column.
    """
    depth = 0
    while isinstance(dtype, pl.List | pl.Array):
        dtype = dtype.inner
        depth += 1
    return depth


def as_flat_lists(series: pl.Series) -> pl.Series:
    """One list of numbers per row, whatever the nesting.

    Args:
        series: Lists of numbers, nested to any depth.
    """
    depth = list_depth(series.dtype)
    nested: DataType = pl.Float64()
    for _ in range(depth):
        nested = pl.List(nested)
    flat = series.cast(nested)
    for _ in range(depth - 1):
        flat = flat.list.eval(pl.element().explode())
    return flat
