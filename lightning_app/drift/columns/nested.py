"""Structs and lists of a table: fields as columns, inner types, values without their nesting."""

import polars as pl
from polars.datatypes import DataType, DataTypeClass

LABEL = "label"
LABEL_PART = f"{LABEL}="
"""Beginning of the part of a column that counts the elements of a label."""


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


def has_labels(dtype: DataType | DataTypeClass) -> bool:
    """Whether a column has lists of structs with a text `label`, such as the entities of a text.

    Args:
        dtype: Type of a column.
    """
    inner = dtype.inner if isinstance(dtype, pl.List) else None
    fields = inner.fields if isinstance(inner, pl.Struct) else []
    return any(field.name == LABEL and field.dtype == pl.String for field in fields)


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
