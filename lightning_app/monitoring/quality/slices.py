"""Slices of rows: values of a column, or quarters of a number."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import polars as pl
from msgspec import Struct

from lightning_app.drift.answers.flat import Booleans, numbers_of

MOST_VALUES = 20
"""Values of a column that are slices; rows with a rarer one are in none."""
_QUARTERS = (0.25, 0.5, 0.75)


class Slice(Struct, frozen=True, kw_only=True):
    """Some of the rows.

    Attributes:
        name: `column=value`.
        chosen: Which rows, (N,).
    """

    name: str
    chosen: Booleans


def slices_of(
    table: pl.DataFrame, columns: Sequence[str], *, edges: Mapping[str, Sequence[float]]
) -> tuple[list[Slice], list[str]]:
    """Slices of a table.

    Args:
        table: The rows.
        columns: Columns by whose values rows are divided.
        edges: Edges between slices of numbers; columns without take the quarters of the table.

    Returns:
        slices: Largest first within a column.
        notes: Columns that cannot be divided, and values that are in no slice.
    """
    found: list[Slice] = []
    notes: list[str] = []
    for name in columns:
        if name not in table.columns:
            notes.append(f"slices: {name}: the rows have no such column")
            continue
        column = table[name]
        if column.dtype.is_numeric() and column.n_unique() > MOST_VALUES:
            found += _bins(column, edges.get(name))
        elif column.dtype.is_nested():
            notes.append(f"slices: {name}: holds lists, of which no slices are made")
        else:
            found += _values(column, notes)
    return found, notes


def _bins(column: pl.Series, given: Sequence[float] | None) -> list[Slice]:
    numbers = numbers_of(column)
    known = numbers[np.isfinite(numbers)]
    edges = np.unique(np.quantile(known, _QUARTERS) if given is None else np.asarray(given))
    place = np.where(np.isfinite(numbers), np.searchsorted(edges, numbers), -1)
    texts = [f"<= {edges[0]:g}", *(f"({low:g}, {high:g}]" for low, high in pairwise(edges)),
             f"> {edges[-1]:g}"]  # fmt: skip
    bins = [Slice(name=f"{column.name}={text}", chosen=place == at) for at, text in enumerate(texts)]
    missing = [Slice(name=f"{column.name}=missing", chosen=place < 0)] if (place < 0).any() else []
    return [one for one in bins if one.chosen.any()] + missing


def _values(column: pl.Series, notes: list[str]) -> list[Slice]:
    counted = column.value_counts(sort=True)
    if len(counted) > MOST_VALUES:
        rest = int(counted["count"].slice(MOST_VALUES).sum())
        notes.append(
            f"slices: {column.name}: {MOST_VALUES} of its {len(counted):,} values are slices, {rest:,} rows with a "
            "rarer one are in none"
        )
    found = []
    for value in counted[column.name].head(MOST_VALUES).to_list():
        chosen = column.is_null() if value is None else column == value
        text = "missing" if value is None else str(value)
        found.append(Slice(name=f"{column.name}={text}", chosen=chosen.fill_null(value=False).to_numpy()))
    return found
