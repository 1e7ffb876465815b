"""Rows that are asked about: their time, keys, and the columns that features read."""

from collections.abc import Iterable
from datetime import datetime

import polars as pl

from features.definitions import Column, Definitions
from features.definitions.messages import nearest
from features.sources import TIME, Notes
from features.sources.times import read_times
from features.sources.types import as_declared


def row_times(rows: pl.DataFrame, at: str | datetime, *, notes: Notes) -> pl.Series:
    """Times that rows are asked about, with their own zone.

    Args:
        rows: The rows.
        at: Column of the times, or one time for all rows.
        notes: Takes counts.

    Raises:
        ValueError: There is no such column, or it holds no times.
    """
    if isinstance(at, datetime):
        one = pl.Series([at])
        zone = one.dtype.time_zone if isinstance(one.dtype, pl.Datetime) else None
        return one.cast(pl.Datetime("us", zone)).new_from_index(0, rows.height).alias(TIME)
    if at not in rows.columns:
        raise ValueError(f"at: the rows have no column {at!r}{nearest(at, rows.columns)}")
    column = rows[at]
    if isinstance(column.dtype, pl.Datetime):
        return column.cast(pl.Datetime("us", column.dtype.time_zone)).alias(TIME)
    return read_times(column, place=f"rows: column {at!r}", time_format=None, time_zone=None, notes=notes).alias(TIME)


def in_utc(times: pl.Series) -> pl.Series:
    """Times with a zone in UTC, others as they are."""
    zone = times.dtype.time_zone if isinstance(times.dtype, pl.Datetime) else None
    return times if zone in (None, "UTC") else times.dt.convert_time_zone("UTC")


def key_columns(rows: pl.DataFrame, entities: Iterable[str], definitions: Definitions, *, notes: Notes) -> pl.DataFrame:
    """Key columns of entities, of their declared types.

    Args:
        rows: The rows.
        entities: Names of entities.
        definitions: The definitions.
        notes: Takes the number of rows without a key.

    Raises:
        ValueError: A key is not among the columns, or not of its type.
    """
    keys: dict[str, pl.Series] = {}
    for entity in entities:
        for key, kind in definitions.entities[entity].keys.items():
            if key not in rows.columns:
                raise ValueError(f"entity {entity!r}: the rows have no key column {key!r}{nearest(key, rows.columns)}")
            place = f"rows: key {key!r}"
            keys[key] = as_declared(rows[key], Column(type=kind), place=place, notes=notes).alias(key)
            notes.add("rows", f"have no {key!r}: kept, their features of history are missing", keys[key].null_count())
    return pl.DataFrame(list(keys.values()))
