"""Membership of values in a list, for rules on allowed values and vocabularies."""

import polars as pl

from features.contracts.checks.table_columns import RuleMismatchError, TableColumns, declare_type
from features.contracts.rules.base_rule import Scalar
from features.contracts.rules.column_types import type_name

_FEW_TEXTS = 8
"""As many comparisons of texts are faster than one look-up in a set."""


def unknown_values(column: str, values: tuple[Scalar, ...], columns: TableColumns) -> pl.Expr:
    """Whether a value is not one of a list; null for missing values.

    Args:
        column: Name of the column.
        values: The list.
        columns: Columns of the table.

    Raises:
        RuleMismatchError: The values are of another type than the column.
    """
    dtype = columns.dtype(column)
    kind = type_name(dtype)
    fits = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}.get(kind, ())
    if not all(isinstance(one, fits) and isinstance(one, bool) == (kind == "bool") for one in values):
        given = type(values[0]).__name__
        raise RuleMismatchError(f"column {column!r} holds {dtype}, the values are {given}{declare_type(dtype)}")
    own = pl.String if kind == "str" else pl.Float64 if isinstance(dtype, pl.Decimal) else dtype
    value = columns.expression(column)
    if kind == "str" and len(values) <= _FEW_TEXTS:
        return pl.all_horizontal([value != one for one in values])
    allowed = pl.Series(values, dtype=own, strict=False).drop_nulls().unique()
    return ~value.is_in(allowed.implode())
