"""StoredRows: a few rows with keys, their history from an online store, by a plan in plain Python."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from features.definitions import Column
from features.definitions.cells import TableNeededError, cell_reader
from features.definitions.value_type import value_type
from features.pipeline.pipeline import FeaturePipeline
from features.pipeline.row_plan import RowPlan
from features.sources import Notes
from features.store import OnlineStore
from features.store.online_table import current_time
from features.store.reader import ViewReader

Row = Mapping[str, Any]


class FewRows(NamedTuple):
    """A few rows as a network takes them.

    Attributes:
        arrays: Features of the rows, see `Layout.arrays`.
        times: Times that the rows are asked about.
        keys: Key columns, as they were given.
        texts: Texts of the rows, see `FeaturePipeline.texts`; empty if no feature is a text.
    """

    arrays: dict[str, np.ndarray]
    times: Sequence[datetime]
    keys: dict[str, list[Any]]
    texts: list[str]


class _View(NamedTuple):
    """A view: its reader, how its keys are read, and places and types of the features that are needed."""

    reader: ViewReader
    keys: list[tuple[str, Any]]
    features: list[tuple[str, int, str]]


class StoredRows:
    """Answers a few rows as `StoredHistory` answers a table; what it cannot answer, or has to refuse, is left to that.

    Args:
        pipeline: The fitted features.
        plan: Plan of the pipeline.
        store: The store, materialized from the same definitions.
        namespace: Project in the store.
    """

    def __init__(self, pipeline: FeaturePipeline, plan: RowPlan, store: OnlineStore, *, namespace: str) -> None:
        definitions = pipeline.definitions
        self._plan, self._store, self._namespace = plan, store, namespace
        views = list(dict.fromkeys(full.partition(".")[0] for full in plan.history))
        self._views = {}
        for view in (name for name in definitions.views if name in views):
            reader = ViewReader(definitions, store, view, namespace=namespace)
            entity = definitions.views[view].entity
            keys = definitions.entities[entity].keys if entity else {}
            self._views[view] = _View(
                reader,
                [(key, cell_reader(Column(type=kind))) for key, kind in keys.items()],
                [
                    (full, reader.features.index(full.partition(".")[2]), value_type(definitions, full))
                    for full in plan.history
                    if full.partition(".")[0] == view
                ],
            )

    def read(self, records: Sequence[Row], at: datetime | None, *, notes: Notes) -> FewRows:
        """Features of rows.

        Args:
            records: Cells by column; all rows have the same columns.
            at: Time that is asked about; None for that of each row, or for now if the rows have none.
            notes: Takes counts of what was left out.

        Raises:
            TableNeededError: A row has no key or no time, or only the table form reads its cells.
            ValueError: A view was not materialized, or of other definitions, or a row is asked about a time before the
                last event of its entity.
            StoreError: The store cannot be reached.
        """
        rows = self._plan.with_keys(records)
        if any(key not in rows[0] for key in self._plan.keys):
            raise TableNeededError
        times = self._times(rows, at, notes)
        several = any(time is not times[0] for time in times)
        read: dict[str, list[Any]] = {}
        for name, view in self._views.items():
            answer = view.reader.read([_key(view.keys, row) for row in rows], at=times if several else times[0])
            notes.add(
                f"store: view {name!r}", "are of entities that it does not know: as one never seen", answer.unknown
            )
            for full, place, kind in view.features:
                read[full] = [_of_type(values[place], kind) for values in answer.values]
        histories = list(zip(*[read[full] for full in self._plan.history], strict=True))
        keys = {key: [row[key] for row in rows] for key in self._plan.keys}
        features = self._plan.features(rows, times, histories)
        return FewRows(features.arrays, times, keys, features.texts)

    def _times(self, rows: Sequence[Row], at: datetime | None, notes: Notes) -> Sequence[datetime]:
        times = self._plan.times
        if at is not None:
            if times.are_given(rows):
                given = times.columns[0]
                notes.add("rows", f"have a {given!r} that is not read: all are asked about {at}", len(rows))
            return [at if at.tzinfo is None else at.astimezone(UTC)] * len(rows)
        if not times.are_given(rows):
            now = current_time(self._store, self._namespace, self._views)
            notes.add("rows", f"have no time: asked about now, {now:%Y-%m-%d %H:%M:%S}", len(rows))
            return [now] * len(rows)
        return times.read(rows)


def _key(columns: Sequence[tuple[str, Any]], row: Row) -> tuple[Any, ...]:
    key = tuple([read(row[name]) for name, read in columns])
    if None in key:
        raise TableNeededError
    return key


def _of_type(value: Any, kind: str) -> Any:
    """A value as a column of its type holds it."""
    if value is None or kind != "float":
        return value
    return float(value)
