"""RowFeatures: columns of requests as numbers, for trees that learn from held-out rows how good answers are."""

from typing import Self

import numpy as np
import polars as pl
from msgspec import Struct

from lightning_app.drift.answers.answer_form import OUTCOME, PREDICTION
from lightning_app.drift.answers.flat import Array, Integers

_MOST_CATEGORIES = 64
_FOLDS = 3


class RowFeatures(Struct, frozen=True, kw_only=True):
    """Columns that trees read.

    Attributes:
        numbers: Columns of numbers, and of true and false.
        categories: Columns of texts, with the values that are told apart.
    """

    numbers: tuple[str, ...]
    categories: dict[str, list[str]]

    @classmethod
    def of(cls, sample: pl.DataFrame) -> Self:
        """Columns of requests that trees can read: no lists, no times, no texts of many values.

        Args:
            sample: Held-out rows.
        """
        numbers, categories = [], {}
        for column in sample.drop(OUTCOME, strict=False).iter_columns():
            if column.name.startswith(PREDICTION):
                continue
            if column.dtype.is_numeric() or column.dtype == pl.Boolean:
                numbers.append(column.name)
            elif column.dtype == pl.String and column.n_unique() <= _MOST_CATEGORIES:
                categories[column.name] = sorted(column.drop_nulls().unique().to_list())
        return cls(numbers=tuple(numbers), categories=categories)

    def read(self, table: pl.DataFrame) -> list[Array]:
        """The columns of a table, (N,) each; nan where a value is missing, unknown, or of another type.

        Args:
            table: The rows; a column that is not there is missing.
        """
        columns: list[Array] = []
        for name in self.numbers:
            is_there = name in table.columns and (table[name].dtype.is_numeric() or table[name].dtype == pl.Boolean)
            values = table[name].cast(pl.Float64).fill_null(np.nan).to_numpy() if is_there else None
            columns.append(np.full(len(table), np.nan) if values is None else values)
        for name, known in self.categories.items():
            is_there = name in table.columns and not table[name].dtype.is_nested()
            texts = table[name] if is_there else pl.Series([None] * len(table), dtype=pl.String)
            codes = {value: float(place) for place, value in enumerate(known)}
            coded = texts.cast(pl.String, strict=False).replace_strict(codes, default=None, return_dtype=pl.Float64)
            columns.append(coded.fill_null(np.nan).to_numpy())
        return columns


def folds_of(rows: Integers) -> list[tuple[np.ndarray, np.ndarray]]:
    """Points to learn from and points to be asked for, three times.

    Rows, not points, are divided, since steps of a forecast are alike; neighbouring rows stay together.

    Args:
        rows: Row of each point, (P,).
    """
    fold = rows * _FOLDS // (int(rows.max()) + 1)
    return [(fold != number, fold == number) for number in range(_FOLDS)]
