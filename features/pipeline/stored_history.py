"""StoredHistory: rows with keys alone, whose features of history an online store holds."""

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from features.batch.request import row_times
from features.definitions import Definitions, HistoryFeature
from features.definitions.columns_read import TIME
from features.definitions.messages import nearest
from features.pipeline.asked_rows import with_keys, with_times
from features.pipeline.pipeline import FeaturePipeline
from features.pipeline.row_plan import RowPlan
from features.pipeline.stored_rows import StoredRows
from features.rows import required_features
from features.sources import ROW, Notes, event_times
from features.sources.times import read_times
from features.store import OnlineStore, online_table
from features.store.online_table import current_time


def history_views(definitions: Definitions, features: Sequence[str]) -> tuple[str, ...]:
    """Views whose features of history are needed.

    Args:
        definitions: The definitions.
        features: Full names.
    """
    needed = required_features(definitions, features)
    views = (full.partition(".")[0] for full in needed if isinstance(definitions.feature(full), HistoryFeature))
    return tuple(dict.fromkeys(views))


class StoredHistory:
    """Features of rows as `FeaturePipeline` computes them, those of history looked up in a store.

    Args:
        pipeline: The fitted features.
        store: The store, materialized from the same definitions.
        namespace: Project in the store.

    Raises:
        ValueError: The features have no history, or a view that they read says `online: false`.
    """

    def __init__(self, pipeline: FeaturePipeline, store: OnlineStore, *, namespace: str = "default") -> None:
        self.pipeline = pipeline
        self._store, self._namespace = store, namespace
        self._views = history_views(pipeline.definitions, pipeline.features)
        if not self._views:
            raise ValueError("store: given, but the features have no history; leave it out")
        offline = [view for view in self._views if not pipeline.definitions.views[view].online]
        if offline:
            raise ValueError(
                f"store: given, but view {offline[0]!r} says online: false, so that no store holds it; give the events"
            )

    def few_rows(self) -> StoredRows | None:
        """What answers a few rows without a table; None if only a table can be answered."""
        plan = RowPlan.of(self.pipeline)
        return None if plan is None else StoredRows(self.pipeline, plan, self._store, namespace=self._namespace)

    def ask(self, table: pl.DataFrame, *, at: datetime | Sequence[datetime] | None, notes: Notes) -> pl.DataFrame:
        """The rows that are asked about, with their time as column `time`, and their number as `__row`.

        Args:
            table: Keys, requested columns, and optionally the time of each row.
            at: Time that is asked about; None for that of each row, or for now if the table has none.
            notes: Takes counts of rows that are left out.

        Raises:
            ValueError: A column of the time is missing, or holds something else.
            StoreError: The store cannot be reached.
        """
        rows = with_keys(self.pipeline.rows.source(self.pipeline.definitions), table).with_row_index(ROW)
        return with_times(rows.with_columns(self._times(rows, at, notes).alias(TIME)), notes)

    def features_of(self, rows: pl.DataFrame, *, notes: Notes) -> pl.DataFrame:
        """Features of rows, a column each, as `FeaturePipeline.features_of` gives them.

        Args:
            rows: As `ask` gives them.
            notes: Takes counts of what was left out.

        Raises:
            ValueError: A view was not materialized, or of other definitions, or a row is asked about a time before the
                last event of its entity.
            StoreError: The store cannot be reached.
        """
        pipeline = self.pipeline
        table = online_table(
            pipeline.definitions,
            self._store,
            pipeline.needed_of(rows),
            at=TIME,
            features=pipeline.features,
            fitted=pipeline.fitted,
            namespace=self._namespace,
            notes=notes,
        )
        return table.select(pipeline.columns.values())

    def _times(self, rows: pl.DataFrame, at: datetime | Sequence[datetime] | None, notes: Notes) -> pl.Series:
        definitions, asked = self.pipeline.definitions, self.pipeline.rows
        source = asked.source(definitions)
        name = asked.time if source is None or asked.time is not None else source.time
        if at is not None:
            moments = [at] if isinstance(at, datetime) else list(at)
            if len(moments) != 1:
                raise ValueError(f"at: {len(moments)} times given, rows with keys take one, or a column")
            if name in rows.columns:
                notes.add("rows", f"have a {name!r} that is not read: all are asked about {moments[0]}", len(rows))
            return row_times(rows, moments[0], definitions, {}, notes=notes)
        if name is None or name not in rows.columns:
            now = current_time(self._store, self._namespace, self._views)
            notes.add("rows", f"have no time: asked about now, {now:%Y-%m-%d %H:%M:%S}", len(rows))
            return row_times(rows, now, definitions, {}, notes=notes)
        if source is None or name == asked.time:
            return read_times(rows[name], place=f"rows: column {name!r}", time_format=None, time_zone=None, notes=notes)
        for added in source.time_plus:
            if added not in rows.columns:
                raise ValueError(
                    f"the rows have no column {added!r}, which is added to {name!r}{nearest(added, rows.columns)}"
                )
        return event_times(source, rows, place="rows", notes=notes)
