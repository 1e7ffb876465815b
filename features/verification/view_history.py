"""History of one view: its events, and its features online and in batch at any reads."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import polars as pl

from features.batch import history_at
from features.definitions import Definitions
from features.online import OnlineView
from features.online.event import Key
from features.sources import AVAILABLE, ROW, TIME, Notes, read_source
from features.sources.files import scan_file
from features.verification.future import change_future
from features.verification.replay import in_order_of_arrival, replay

Read = tuple[Key, int]
"""Key of an entity, and time in microseconds."""


class ViewHistory:
    """Events of the source of a view.

    Args:
        name: Name of the view.
        definitions: The definitions.
        table: Rows of the source, with the columns of its file.
        notes: Takes counts of what is left out.

    Attributes:
        events: Events in the order in which they became available.
    """

    def __init__(self, name: str, definitions: Definitions, table: pl.DataFrame, *, notes: Notes) -> None:
        self.name, self._definitions, self._table = name, definitions, table
        view = definitions.views[name]
        assert view.source is not None
        self._source_name, self._source = view.source, definitions.sources[view.source]
        self._keys = definitions.entities[view.entity].keys if view.entity else {}
        self._read = read_source(self._source, name=view.source, keys=self._keys, notes=notes, table=table).collect()
        self.events = in_order_of_arrival(OnlineView(name, definitions).read_table(table, notes=Notes()))

    def batch(self, reads: list[Read]) -> pl.DataFrame:
        """Features of the batch form.

        Args:
            reads: Keys and times.
        """
        types = {name: self._read.schema[name] for name in self._keys}
        keys = {name: [key[i] for key, _ in reads] for i, name in enumerate(self._keys)}
        times = pl.Series(TIME, [at for _, at in reads], dtype=pl.Int64).cast(self._read.schema[TIME])
        rows = pl.DataFrame(keys, schema=types).with_columns(times) if keys else times.to_frame()
        return history_at(self.name, self._definitions, self._read.lazy(), rows)

    def online(
        self, reads: list[Read], schema: dict[str, pl.DataType], *, entities: Collection[Key] | None = None
    ) -> pl.DataFrame:
        """Features of the online form, fed event by event.

        Args:
            reads: Keys and times, ascending in time.
            schema: Types of the columns.
            entities: Entities that are fed; None for all.
        """
        view = OnlineView(self.name, self._definitions)
        if self._source.event_id:
            entities = None  # a correction may move an event from one entity to another
        return replay(view, self.events, reads, schema, entities=entities)

    def with_other_future(self, time: int, *, seed: int) -> "ViewHistory":
        """The history with other events after a time, and other ones of those not available at it.

        Args:
            time: Microseconds; an event at that time is in the future, if it corrects no earlier one.
            seed: Seed of the change.
        """
        later = self._read[AVAILABLE if AVAILABLE in self._read.columns else TIME].to_physical() > time
        if not self._source.event_id:  # a known version may take an event out of the past, whatever its own time
            later |= self._read[TIME].to_physical() >= time
        is_future = np.zeros(self._table.height, dtype=bool)
        is_future[self._read[ROW].filter(later).to_numpy()] = True
        other = change_future(self._table, is_future, self._source, seed=seed)
        return ViewHistory(self.name, self._definitions, other, notes=Notes())


def source_table(
    name: str, definitions: Definitions, *, tables: dict[str, pl.DataFrame], root: Path | None
) -> pl.DataFrame:
    """Rows of a source.

    Args:
        name: Name of the source.
        definitions: The definitions.
        tables: Rows of sources by name, instead of their files.
        root: Folder that a relative path starts from.

    Raises:
        ValueError: The source has neither a table nor a path, or its file cannot be read.
    """
    if name in tables:
        return tables[name]
    source = definitions.sources[name]
    if source.path is None:
        raise ValueError(f"source {name!r} has no path: give its rows as a table of that name")
    return scan_file(source.path, csv=source.csv, root=root, place=f"source {name!r}").collect()
