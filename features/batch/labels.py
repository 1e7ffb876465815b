"""Labels of rows: a column of the rows, or an aggregate of the events after their time."""

from collections.abc import Mapping
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from features.batch.history_at import history_at
from features.batch.request import key_columns
from features.definitions import Aggregate, Definitions, FeatureView, FutureAggregate, Source
from features.definitions.duration import microseconds
from features.definitions.messages import nearest
from features.sources import AVAILABLE, ID, ROW, TIME, Notes, read_source


def label_values(
    name: str,
    definitions: Definitions,
    rows: pl.DataFrame,
    *,
    times: pl.Series,
    tables: Mapping[str, pl.DataFrame | pl.LazyFrame],
    root: Path | None,
    notes: Notes,
) -> pl.Series:
    """Computes a label.

    Args:
        name: Name of the label.
        definitions: The definitions.
        rows: The rows.
        times: Their times, in UTC if they have a zone.
        tables: Rows of sources by name.
        root: Folder that relative paths of sources start from.
        notes: Takes the number of censored rows.

    Raises:
        ValueError: The label, or a column, does not exist.
    """
    label = definitions.label(name)
    if not isinstance(label, FutureAggregate):
        if label.column not in rows.columns:
            raise ValueError(
                f"labels.{name}: the rows have no column {label.column!r}{nearest(label.column, rows.columns)}"
            )
        return rows[label.column].alias(name)
    columns = [column for column in (label.column, label.where.column if label.where else None) if column]
    source = definitions.sources[label.source]
    events = read_source(
        source,
        name=label.source,
        keys=definitions.entities[label.entity].keys,
        notes=Notes(),  # the features' reading has counted them
        table=tables.get(label.source, rows if source.path is None else None),
        columns=columns,
        root=root,
    ).collect()
    if ID in events.columns:
        by = [column for column in (AVAILABLE, ROW) if column in events.columns]
        last = events.filter(pl.col(ID).is_not_null()).sort(by).unique(ID, keep="last")
        events = pl.concat([events.filter(pl.col(ID).is_null()), last]).sort(ROW)
    events = events.drop([column for column in (AVAILABLE, ID) if column in events.columns])
    window = pl.duration(microseconds=microseconds(label.window))
    ahead = Aggregate(function=label.function, column=label.column, window=label.window, where=label.where)
    view = FeatureView(source=label.source, entity=label.entity, features={"label": ahead})
    future = Definitions(views={"future": view}, entities=definitions.entities, sources=definitions.sources)
    keys = key_columns(rows, [label.entity], definitions, notes=Notes())
    ends = pl.select(times.alias(TIME) + window).to_series().alias(TIME)
    values = history_at("future", future, events.lazy(), pl.DataFrame([*keys.get_columns(), ends]))["future.label"]
    unknown = keys.select(pl.any_horizontal(pl.all().is_null())).to_series() | ends.is_null()
    if label.function == "sum":
        values = values.fill_null(0).set(unknown, None)
    until = _complete_until(label.source, source, events)
    censored = ends.is_not_null() if until is None else (ends > until).fill_null(value=False)
    notes.add(
        "rows", f"have a label {name!r} whose window ends after the last known event: missing", int(censored.sum())
    )
    return values.set(censored, None).alias(name)


def _complete_until(name: str, source: Source, events: pl.DataFrame) -> object:
    """Time up to which all events are known, as the events' times are written."""
    until = source.until
    if until is None:
        return events[TIME].max()
    zone = events.schema[TIME].time_zone  # type: ignore[attr-defined]
    if zone is not None and until.tzinfo is None and source.time_zone is not None:
        until = until.replace(tzinfo=ZoneInfo(source.time_zone))
    if (zone is None) != (until.tzinfo is None):
        raise ValueError(
            f"source {name!r}: until {until.isoformat()}: one of it and the event times has a time zone, one has none"
        )
    return until if until.tzinfo is None else until.astimezone(UTC)
