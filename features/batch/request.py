"""Requested rows: time, keys, and the columns that features read."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import polars as pl

from features.definitions import Column, Definitions
from features.definitions.messages import nearest
from features.sources import TIME, Notes, event_times
from features.sources.times import read_times
from features.sources.types import as_declared


def row_times(
    rows: pl.DataFrame, at: str | datetime, definitions: Definitions, tables: Mapping[str, object], *, notes: Notes
) -> pl.Series:
    """Times that rows are asked about: in UTC if they have a zone, else as they are.

    Args:
        rows: The rows.
        at: Column of the times, or one time for all rows. If it is the time of a source whose events are these rows,
            it is read as the source says.
        definitions: The definitions.
        tables: Rows of sources by name.
        notes: Takes counts.

    Raises:
        ValueError: There is no such column, or it holds no times.
    """
    if isinstance(at, datetime):
        moment = at if at.tzinfo is None else at.astimezone(UTC)
        dtype = pl.Datetime("us", None if at.tzinfo is None else "UTC")
        return pl.Series([moment], dtype=dtype).new_from_index(0, rows.height).alias(TIME)
    if at not in rows.columns:
        raise ValueError(f"at: the rows have no column {at!r}{nearest(at, rows.columns)}")
    place = f"rows: column {at!r}"
    own = [source for name, source in definitions.sources.items() if tables.get(name) is rows and source.time == at]
    if own and all(name in rows.columns for name in own[0].time_plus):
        times = event_times(own[0], rows, place="rows", notes=notes).alias(TIME)
    else:
        times = read_times(rows[at], place=place, time_format=None, time_zone=None, notes=notes).alias(TIME)
    notes.add("rows", f"have no {at!r}: kept, their features of history are missing", times.null_count())
    return times


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
