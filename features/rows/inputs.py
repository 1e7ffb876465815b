"""Inputs of row features: the columns that the caller gives, of their declared types."""

from collections.abc import Sequence

import polars as pl

from features.definitions import Column, Definitions, HistoryFeature, Text
from features.definitions.checks import feature_order, feature_read
from features.definitions.columns_read import TIME, columns_read
from features.definitions.messages import nearest
from features.sources.notes import Notes
from features.sources.types import as_declared

TIME_COLUMN = "__time"


def required_features(definitions: Definitions, chosen: Sequence[str]) -> tuple[str, ...]:
    """Features and all that they read, each after those that it reads.

    Args:
        definitions: The definitions.
        chosen: Full names, `view.feature`.
    """
    needed: set[str] = set()
    waiting = list(chosen)
    while waiting:
        full = waiting.pop()
        if full in needed:
            continue
        needed.add(full)
        view, _, name = full.partition(".")
        feature = definitions.views[view].features[name]
        if not isinstance(feature, HistoryFeature):
            read = (feature_read(column, view, definitions.views) for column in columns_read(feature))
            waiting += [one for one in read if one is not None]
    return tuple(full for full in feature_order(definitions.views) if full in needed)


def input_name(column: str, view: str, definitions: Definitions) -> str:
    """Column of the working frame that a column of a row or fitted feature is.

    Args:
        column: Name as the feature reads it.
        view: View of the feature.
        definitions: The definitions.
    """
    full = feature_read(column, view, definitions.views)
    if full is not None:
        return full
    return TIME_COLUMN if column == TIME and column not in definitions.views[view].request else f"{view}:{column}"


def input_columns(
    definitions: Definitions, features: Sequence[str], rows: pl.DataFrame, *, times: pl.Series, notes: Notes
) -> pl.DataFrame:
    """Columns of rows that features read.

    Args:
        definitions: The definitions.
        features: Full names of all features that are computed.
        rows: Rows of the caller.
        times: Times of the rows.
        notes: Takes counts.

    Returns:
        `__time`, and `view:column` for each column that the caller gives.

    Raises:
        ValueError: A column is missing, or not of its type.
    """
    read: dict[str, pl.Series] = {TIME_COLUMN: times}
    for full in features:
        view, _, name = full.partition(".")
        content = definitions.views[view]
        feature = content.features[name]
        if isinstance(feature, HistoryFeature):
            continue
        keys = definitions.entities[content.entity].keys if content.entity else {}
        for column in columns_read(feature):
            own = input_name(column, view, definitions)
            if isinstance(feature, Text) and column in feature.plain and column in rows.columns:
                numbers = rows[column].count() if rows[column].dtype.is_integer() else 0
                notes.add(f"rows: column {column!r}", "are whole numbers: read as text", numbers)
            if own in read or feature_read(column, view, definitions.views) is not None:
                continue
            if column not in rows.columns:
                given = [one for one in rows.columns if not one.startswith("__")]
                raise ValueError(
                    f"views.{view}.features.{name}: the rows have no column {column!r}{nearest(column, given)}"
                )
            declared = content.request.get(column) or Column(type=keys[column])
            read[own] = as_declared(rows[column], declared, place=f"rows: column {column!r}", notes=notes)
    return pl.DataFrame([series.alias(name) for name, series in read.items()])
