"""Columns of a table as the rules of a contract read them: text parsed into declared types."""

from collections.abc import Mapping

import polars as pl

from features.contracts.rules.column_types import is_text, missing_word, parsed
from features.contracts.rules.contract_column import ContractColumn


class RuleMismatchError(ValueError):
    """A rule cannot be applied to a column of this type."""


def declare_type(dtype: pl.DataType) -> str:
    """End of a message about a text column that a rule on numbers or times reads."""
    return "; declare its type below columns" if is_text(dtype) else ""


class TableColumns:
    """Expressions for the columns of a table.

    Args:
        schema: Columns of the table.
        declared: Columns of the contract.
    """

    def __init__(self, schema: Mapping[str, pl.DataType], declared: Mapping[str, ContractColumn]) -> None:
        self.schema = dict(schema)
        self._declared = declared
        self._parsed = {
            name: self._parse(name, column)
            for name, column in declared.items()
            if name in schema and is_text(schema[name]) and column.type not in ("any", "str")
        }
        self._types = dict(pl.LazyFrame(schema=self.schema).select(**self._parsed).collect_schema())

    @property
    def parsed(self) -> list[pl.Expr]:
        """Parsed columns, under names that no column of the table has."""
        return [expression.alias(self._hidden(name)) for name, expression in self._parsed.items()]

    def is_parsed(self, name: str) -> bool:
        """Whether a column is text that is parsed into its declared type."""
        return name in self._parsed

    def expression(self, name: str) -> pl.Expr:
        """Values of a column in its declared type; categories as text, NaN as null."""
        dtype = self.dtype(name)
        column = pl.col(self._hidden(name) if name in self._parsed else name)
        if is_text(dtype) and dtype != pl.String:
            return column.cast(pl.String)
        if isinstance(dtype, pl.Decimal):
            return column.cast(pl.Float64)
        return column.fill_nan(None) if dtype.is_float() else column

    def dtype(self, name: str) -> pl.DataType:
        """Type of `expression`, except that categories and decimal numbers keep theirs."""
        return self._types.get(name, self.schema[name])

    def missing(self, name: str) -> pl.Expr:
        """Whether a cell is null, NaN, or text for a missing value in a column that is parsed."""
        raw = pl.col(name)
        if name in self._parsed:
            return raw.is_null() | missing_word(raw.cast(pl.String)).fill_null(value=False)
        return raw.is_null() | raw.is_nan().fill_null(value=False) if self.schema[name].is_float() else raw.is_null()

    def _parse(self, name: str, column: ContractColumn) -> pl.Expr:
        text = pl.col(name).cast(pl.String)
        return parsed(text, column.type, time_format=column.time_format, time_zone=column.time_zone)

    def _hidden(self, name: str) -> str:
        return f"{name}\0parsed"
