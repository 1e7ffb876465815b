"""AskedRows: which rows are asked about, and at what time, as tables of a user tell."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import polars as pl

from features.definitions import CsvFormat, Definitions, FutureAggregate, Source
from features.definitions.columns_read import TIME
from features.definitions.messages import nearest
from features.sources import TIME as EVENT_TIME
from features.sources import Notes, read_source
from features.sources.read import ROW
from features.sources.times import read_times

NO_TIME = datetime(1970, 1, 1)
"""Time of rows that have none, where no feature reads it."""


class AskedRows(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the rows come from that are asked about.

    Attributes:
        history: Source whose events the rows are: the table is its own history. None if it is not.
        entities: Source whose entities are asked about: those with an event before the time. None for a table of rows.
        time: Column of the time; None for that of `history`, for a time that is given, or for none.
        csv: How a text file of rows is written, where it is not a plain CSV file or that of `history`.
    """

    history: str | None = None
    entities: str | None = None
    time: str | None = None
    csv: CsvFormat | None = None

    def check(self, definitions: Definitions) -> None:
        """Raises `ValueError` unless the sources exist."""
        for key in ("history", "entities"):
            name = getattr(self, key)
            if name is not None and name not in definitions.sources:
                raise ValueError(f"{key}: {name!r} is no source{nearest(name, definitions.sources)}")

    def source(self, definitions: Definitions) -> Source | None:
        """The source that the given table is, if it is one."""
        name = self.history or self.entities
        return None if name is None else definitions.sources[name]

    def tables_of(self, definitions: Definitions, table: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """The sources that the given table is, by name: those of the same file are the same table.

        Args:
            definitions: The definitions.
            table: The table that a user gives.
        """
        own = self.source(definitions)
        return {name: table for name, source in definitions.sources.items() if own and source.path == own.path}

    def csv_format(self, definitions: Definitions) -> CsvFormat | None:
        """How a text file of the given table is written; None for a plain CSV file."""
        source = self.source(definitions)
        return self.csv if self.csv is not None or source is None else source.csv

    def read(
        self, definitions: Definitions, table: pl.DataFrame, *, at: datetime | Sequence[datetime] | None, notes: Notes
    ) -> pl.DataFrame:
        """The rows that are asked about, with their time as column `time`.

        Args:
            definitions: The definitions.
            table: The table that a user gives: rows, or the events of `entities`.
            at: Time that is asked about, or several; None for that of each row.
            notes: Takes counts of rows that are left out.

        Returns:
            Columns of the table (the keys alone for `entities`), `time`, and `__row`, the number of the row in the
            table (of the first event for `entities`), in the order of the table.

        Raises:
            ValueError: A column is missing, or holds something else than a time.
        """
        if self.entities is not None:
            return self._entities(definitions, table, at=at, notes=notes)
        rows = with_keys(self.source(definitions), table).with_row_index(ROW)
        if at is not None:
            moments = [at] if isinstance(at, datetime) else list(at)
            if len(moments) != 1:
                raise ValueError(f"at: {len(moments)} times given, a table of rows takes one, or a column")
            return rows.with_columns(pl.lit(moments[0], dtype=pl.Datetime("us")).alias(TIME))
        if self.time is not None:
            if self.time not in table.columns:
                raise ValueError(f"the rows have no column {self.time!r}{nearest(self.time, table.columns)}")
            times = read_times(
                table[self.time], place=f"rows: column {self.time!r}", time_format=None, time_zone=None, notes=notes
            )
            return with_times(rows.with_columns(times.alias(TIME)), notes)
        if self.history is None:
            return rows.with_columns(pl.lit(NO_TIME, dtype=pl.Datetime("us")).alias(TIME))
        source = definitions.sources[self.history]
        times_of_rows = read_source(
            source, name=self.history, keys={}, notes=Notes(), table=table, columns=[]
        ).collect()
        times_of_rows = times_of_rows.select(pl.col(ROW).cast(rows.schema[ROW]), pl.col(EVENT_TIME).alias(TIME))
        return with_times(
            rows.drop(TIME, strict=False).join(times_of_rows, on=ROW, how="left", maintain_order="left"), notes
        )

    def _entities(
        self,
        definitions: Definitions,
        table: pl.DataFrame,
        *,
        at: datetime | Sequence[datetime] | None,
        notes: Notes,
    ) -> pl.DataFrame:
        assert self.entities is not None
        if at is None:
            raise ValueError("at: none given, the entities of a source are asked about at a time, such as 2024-05-01")
        keys = entity_keys(definitions, self.entities)
        source = definitions.sources[self.entities]
        events = read_source(source, name=self.entities, keys=keys, notes=notes, table=table, columns=[]).collect()
        first = events.group_by(list(keys), maintain_order=True).agg(pl.col(EVENT_TIME).min(), pl.col(ROW).min())
        moments = [at] if isinstance(at, datetime) else list(at)
        parts = []
        for moment in moments:
            seen = first.filter(pl.col(EVENT_TIME) < _in_clock(moment, first.schema[EVENT_TIME]))
            notes.add(
                f"source {self.entities!r}",
                f"are entities without an event before {moment}: left out",
                len(first) - len(seen),
            )
            parts.append(seen.select(*keys, pl.lit(moment, dtype=pl.Datetime("us")).alias(TIME), ROW))
        return pl.concat(parts)


def entity_keys(definitions: Definitions, source: str) -> Mapping[str, Any]:
    """Keys and their types of the one entity whose events a source holds.

    Args:
        definitions: The definitions.
        source: Name of the source.

    Raises:
        ValueError: Views and labels read the source for no entity, or for several.
    """
    names = {view.entity for view in definitions.views.values() if view.source == source}
    names |= {
        label.entity
        for label in definitions.labels.values()
        if isinstance(label, FutureAggregate) and label.source == source
    }
    names.discard(None)
    if len(names) != 1:
        raise ValueError(f"entities: views read {source!r} for {sorted(map(str, names)) or 'no entity'}, one is needed")
    (name,) = names
    return definitions.entities[str(name)].keys


def with_keys(source: Source | None, table: pl.DataFrame) -> pl.DataFrame:
    """A table of rows that has key columns by the names of the entities, where its source calls them otherwise."""
    renamed = {} if source is None else {key: own for key, own in source.keys.items() if own in table.columns}
    return table.with_columns(pl.col(own).alias(key) for key, own in renamed.items() if key not in table.columns)


def with_times(rows: pl.DataFrame, notes: Notes) -> pl.DataFrame:
    """The rows that have a time.

    Args:
        rows: Rows with the column `time`.
        notes: Takes the number of the others.
    """
    kept = rows.drop_nulls(TIME)
    notes.add("rows", "have no time: left out", len(rows) - len(kept))
    return kept


def _in_clock(moment: datetime, dtype: Any) -> pl.Expr:
    zone = getattr(dtype, "time_zone", None)
    return pl.lit(moment, dtype=pl.Datetime("us")).dt.replace_time_zone(zone)
