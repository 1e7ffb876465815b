"""Events of a source: keys, clocks and value columns of their declared types."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import polars as pl

from features.definitions import Column, Source
from features.definitions.messages import nearest
from features.sources.files import scan_file
from features.sources.notes import Notes
from features.sources.time_plus import plus_units
from features.sources.times import read_times
from features.sources.types import as_declared

TIME, AVAILABLE, ID, ROW = "__time", "__available", "__id", "__row"


def read_source(
    source: Source,
    *,
    name: str,
    keys: Mapping[str, str],
    notes: Notes,
    table: pl.DataFrame | pl.LazyFrame | None = None,
    columns: Iterable[str] | None = None,
    root: Path | None = None,
) -> pl.LazyFrame:
    """Reads the columns of a source that are needed.

    Args:
        source: The source.
        name: Its name, for messages.
        keys: Key columns of the entity and their types; a source may call them otherwise.
        notes: Takes counts of events that are left out or put in order.
        table: The rows, instead of those of the source's file.
        columns: Value columns to read; None for all.
        root: Folder that a relative path of the source starts from.

    Returns:
        Key columns by the entity's names, `__time`, `__available` (only if the source has such a column), `__id` (only
        if events are identified), value columns, and `__row`, the number of the row in the table. Times are
        `Datetime("us")`, with zone UTC if the source has zones. Events without key or time are left out and counted.

    Raises:
        ValueError: A file or column is missing, or a value is not of its type.
    """
    place = f"source {name!r}"
    if table is None and source.path is None:
        raise ValueError(f"{place} has no path: give its rows as a table of that name")
    frame = scan_file(source.path or "", csv=source.csv, root=root, place=place) if table is None else table.lazy()
    wanted = [*source.columns] if columns is None else list(dict.fromkeys(columns))
    own = {key: source.keys.get(key, key) for key in keys}
    clocks = [source.time, *source.time_plus, *([source.available] if source.available else [])]
    needed = list(dict.fromkeys([*own.values(), *clocks, *source.event_id, *wanted]))
    existing = frame.collect_schema().names()
    for column in needed:
        if column not in existing:
            raise ValueError(f"{place} has no column {column!r}{nearest(column, existing)}")
    rows = frame.select(needed).collect()

    read: dict[str, pl.Series] = {}
    for column in wanted:
        read[column] = as_declared(
            rows[column], source.columns[column], place=f"{place}: column {column!r}", notes=notes
        )
    for key, column in own.items():
        if key in read and key != column:
            raise ValueError(f"{place}: column {key!r} is not the key {key!r}, which is {column!r}; rename one of them")
        declared = Column(type=keys[key])  # type: ignore[arg-type]
        read[key] = as_declared(rows[column], declared, place=f"{place}: key {column!r}", notes=notes)
    read[TIME] = event_times(source, rows, place=place, notes=notes)
    if source.available is not None:
        read[AVAILABLE] = _clock(rows[source.available], source, place=place, notes=notes)
        if read[AVAILABLE].dtype != read[TIME].dtype:
            raise ValueError(f"{place}: one of {source.time!r} and {source.available!r} has a time zone, one has none")
    if source.event_id:
        read[ID] = _event_id(rows.select(source.event_id))
    events = pl.DataFrame([series.alias(column) for column, series in read.items()]).with_row_index(ROW)
    events = _without_nulls(events, keys=tuple(keys), place=place, notes=notes)
    notes.add(place, "are like another row in every column that is read: kept", _duplicates(events, [*keys, TIME]))
    return events.lazy()


def _duplicates(events: pl.DataFrame, clocks: list[str]) -> int:
    """Number of rows beyond the first of each kind."""
    hashes = events.select(clocks).hash_rows()
    if hashes.n_unique() == events.height:
        return 0
    suspects = events.filter(hashes.is_duplicated()).drop(ROW)
    return suspects.height - suspects.n_unique()


def event_times(source: Source, rows: pl.DataFrame, *, place: str, notes: Notes) -> pl.Series:
    """Event times of rows as a source says how to read them.

    Args:
        source: The source.
        rows: Its rows.
        place: The rows, for messages.
        notes: Takes counts.

    Raises:
        ValueError: A value is no time.
    """
    column = rows[source.time]
    if not source.time_plus:
        return _clock(column, source, place=place, notes=notes)
    # What is added is added to the time as it is written, before its zone counts.
    naive = msgspec.structs.replace(source, time_zone=None)
    times = _clock(column, naive, place=place, notes=notes)
    return _clock(plus_units(times, rows, source, place=place, notes=notes), source, place=place, notes=notes)


def _clock(column: pl.Series, source: Source, *, place: str, notes: Notes) -> pl.Series:
    return read_times(
        column,
        place=f"{place}: column {column.name!r}",
        time_format=source.time_format,
        time_zone=source.time_zone,
        notes=notes,
    )


def _event_id(columns: pl.DataFrame) -> pl.Series:
    """Number of the event; null if a part of its id is null: such a row corrects nothing."""
    whole = columns.select(whole=pl.all_horizontal(pl.all().is_not_null())).to_series()
    number = columns.select(pl.struct(pl.all()).rank("dense").cast(pl.Int64)).to_series()
    return number.set(~whole, None)


def _without_nulls(events: pl.DataFrame, *, keys: tuple[str, ...], place: str, notes: Notes) -> pl.DataFrame:
    checks = (
        (list(keys), "have no key: they belong to nobody and are left out"),
        ([TIME], "have no event time: left out"),
        ([AVAILABLE] if AVAILABLE in events.columns else [], "have no time at which they were available: left out"),
    )
    for columns, kind in checks:
        if not columns or not any(events[column].null_count() for column in columns):
            continue
        kept = events.drop_nulls(columns)
        notes.add(place, kind, events.height - kept.height)
        events = kept
    times = events[TIME]
    if not times.is_sorted():
        notes.add(
            place,
            "are earlier than the row before them: put in order",
            int((times.diff().dt.total_microseconds() < 0).sum()),
        )
    return events
