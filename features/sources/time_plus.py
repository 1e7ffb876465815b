"""Times from several columns, such as a date and an hour, added up."""

import polars as pl

from features.definitions import Source
from features.definitions.duration import microseconds
from features.sources.notes import Notes
from features.sources.types import as_declared


def plus_units(times: pl.Series, rows: pl.DataFrame, source: Source, *, place: str, notes: Notes) -> pl.Series:
    """Adds the columns of `Source.time_plus` to times; null where one of them is.

    Args:
        times: Event times.
        rows: Rows of the source.
        source: The source.
        place: The source, for messages.
        notes: Takes counts of oddities.

    Raises:
        ValueError: A value is no whole number.
    """
    for column, unit in source.time_plus.items():
        numbers = as_declared(rows[column], source.columns[column], place=f"{place}: column {column!r}", notes=notes)
        length = (numbers * microseconds(unit)).cast(pl.Duration("us"))
        times = (times + length).alias(times.name)
    return times
