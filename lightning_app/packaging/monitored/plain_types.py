"""Plain types: those that the export of a journal infers from JSON, whatever the types of a training table."""

import polars as pl


def as_journalled(table: pl.DataFrame) -> pl.DataFrame:
    """Numbers in 64 bits, lists instead of arrays, texts instead of categories.

    Args:
        table: Any columns.
    """
    return table.with_columns(_plain(pl.col(name), dtype) for name, dtype in table.schema.items())


def _plain(values: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.Array):
        return _plain(values.arr.to_list(), pl.List(dtype.inner))
    if isinstance(dtype, pl.List):
        wanted = _type(dtype)
        return values if wanted == dtype else values.cast(wanted)
    wanted = _type(dtype)
    return values if wanted == dtype else values.cast(wanted)


def _type(dtype: pl.DataType) -> pl.DataType:
    if isinstance(dtype, pl.List | pl.Array):
        return pl.List(_type(dtype.inner))  # type: ignore[arg-type]
    if dtype.is_float() or dtype.is_decimal():
        return pl.Float64()
    if dtype.is_integer():
        return pl.Int64()
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return pl.String()
    return dtype
