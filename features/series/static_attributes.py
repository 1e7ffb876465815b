"""Static attributes of time series: fitted on training series, and encoded as inputs of a model."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from features.series.spec import SeriesSpec, StaticAttribute
from features.table_reader import NULL_WORDS, as_numbers, row_name


def static_columns(table: pl.DataFrame, attributes: Sequence[StaticAttribute], *, name: str) -> list[np.ndarray]:
    """Static attributes of the rows of a table as inputs of a model, each float64 (N, width).

    Args:
        table: The table.
        attributes: The attributes.
        name: Name for messages.

    Raises:
        ValueError: A number is missing or none.
    """
    columns = []
    for attribute in attributes:
        column = table[attribute.column]
        if attribute.vocabulary is None:
            numbers = as_numbers(column, file=name, booleans=True)
            if not numbers.is_finite().fill_null(value=False).all():
                row = row_name(name, (~numbers.is_finite().fill_null(value=False)).arg_max() or 0)
                raise ValueError(f"{name}: the static attribute {attribute.column!r} is missing in {row}")
            columns.append((numbers.to_numpy()[:, None] - attribute.mean) / attribute.std)
        else:
            texts = column.cast(pl.String).to_numpy()
            columns.append((texts[:, None] == np.array(attribute.vocabulary, dtype=object)).astype(np.float64))
    return columns


def unknown_texts(table: pl.DataFrame, spec: SeriesSpec) -> dict[str, list[str]]:
    """Texts of static attributes that no training series has, by column; they become zeros.

    Args:
        table: A table that may have the columns.
        spec: The preparation.
    """
    found = {}
    for attribute in spec.static_attributes:
        if attribute.vocabulary is not None and attribute.column in table.columns:
            texts = table[attribute.column].cast(pl.String).unique().drop_nulls()
            if new := sorted(set(texts) - set(attribute.vocabulary)):
                found[attribute.column] = new
    return found


def fit_static_attributes(table: pl.DataFrame, columns: Sequence[str], *, name: str) -> tuple[StaticAttribute, ...]:
    """Fits the attributes of series: scales of numbers, vocabularies of texts.

    Args:
        table: A row per training series.
        columns: Names of the attributes.
        name: Name for messages.
    """
    attributes = []
    for column in columns:
        values = table[column]
        texts = values.cast(pl.String) if not values.dtype.is_numeric() else None
        if texts is not None and not _all_numbers(texts):
            attributes.append(StaticAttribute(column=column, vocabulary=tuple(sorted(set(texts.drop_nulls())))))
            continue
        numbers = as_numbers(values, file=name, booleans=True).drop_nulls().to_numpy()
        std = float(numbers.std()) if len(numbers) else 0.0
        mean = float(numbers.mean()) if len(numbers) else 0.0
        attributes.append(StaticAttribute(column=column, mean=mean, std=std if std > 0 else 1.0))
    return tuple(attributes)


def _all_numbers(texts: pl.Series) -> bool:
    plain = texts.str.strip_chars()
    plain = plain.filter(~plain.is_in(list(NULL_WORDS)))
    return bool(len(plain)) and plain.cast(pl.Float64, strict=False).null_count() == 0
