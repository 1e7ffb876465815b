"""Materialisation: features of history of every entity into an online store, only those whose events have changed.

What has changed is decided by the events themselves: each row carries a fingerprint of all events of its entity, so
that late, corrected and deleted ones count whatever their times say.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from features.definitions import Definitions
from features.definitions.columns_read import columns_read
from features.definitions.duration import microseconds
from features.definitions.messages import nearest
from features.sources import AVAILABLE, ID, ROW, TIME, Notes, read_source
from features.store.clock import as_datetime, as_microseconds
from features.store.evaluation import ENTITY, LAST, SINCE, Evaluation, stored_form
from features.store.protocol import OnlineStore, Row, ViewWriter
from features.store.stored_row import key_text
from features.store.view_mark import FORMAT, ViewMark, read_mark, view_digest

_CHUNK = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Materialized:
    """What was done for a view.

    Attributes:
        view: Name of the view.
        until: Time up to which events count that were available.
        events: Events that were read.
        entities: Rows of the view in the store.
        written: Rows that are new or have changed.
        removed: Rows whose entities have no events any more.
        seconds: Time that it took.
        notes: Counts of events that were left out or put in order.
    """

    view: str
    until: datetime
    events: int
    entities: int
    written: int
    removed: int
    seconds: float = 0.0
    notes: tuple[str, ...] = ()


def materialize(
    definitions: Definitions,
    store: OnlineStore,
    *,
    views: Sequence[str] | None = None,
    until: datetime | None = None,
    tables: Mapping[str, pl.DataFrame | pl.LazyFrame] | None = None,
    namespace: str = "default",
    replace: bool = False,
    root: Path | None = None,
) -> list[Materialized]:
    """Writes features of history to a store, view by view.

    Args:
        definitions: The definitions.
        store: The store.
        views: Names of views; None for all with features of history, unless they say `online: false`.
        until: Only events that were available then count; None for all.
        tables: Rows of sources by name, instead of their files.
        namespace: Project in the store.
        replace: Drop what the store holds of the views: rows of other definitions, or of a later `until`.
        root: Folder that relative paths of sources start from.

    Returns:
        What was done for each view.

    Raises:
        ValueError: A view is unknown or not for stores, or the store holds it of other definitions.
        StoreError: The store cannot be reached.
    """
    results: list[Materialized] = []
    for view in online_views(definitions, views):
        began = time.monotonic()
        with store.writing(namespace, view) as writer:
            job = _Job(definitions, view, f"view {view!r} in {store.url}, namespace {namespace!r},", root)
            done = job.run(writer, until=until, tables=tables or {}, replace=replace)
        results.append(replace_fields(done, seconds=time.monotonic() - began))
    return results


def online_views(definitions: Definitions, views: Sequence[str] | None) -> list[str]:
    """Views that belong in a store.

    Args:
        definitions: The definitions.
        views: Names that were asked for; None for all.

    Raises:
        ValueError: A view is unknown, has no features of history, or says `online: false`.
    """
    if views is None:
        chosen = [name for name, view in definitions.views.items() if view.online and view.history]
        if not chosen:
            raise ValueError("views: none has features of history and is online: there is nothing to materialize")
        return chosen
    for name in views:
        if name not in definitions.views:
            raise ValueError(f"view {name!r} is not defined{nearest(name, definitions.views)}")
        if not definitions.views[name].history:
            raise ValueError(f"view {name!r} has no features of history: nothing of it is stored")
        if not definitions.views[name].online:
            raise ValueError(f"view {name!r} says online: false; change that to write it to a store")
    return list(dict.fromkeys(views))


class _Job:
    """Materialisation of one view."""

    def __init__(self, definitions: Definitions, view: str, place: str, root: Path | None) -> None:
        self.definitions, self.view, self.place, self.root = definitions, view, place, root
        self.content = definitions.views[view]
        self.keys = dict(definitions.entities[self.content.entity].keys) if self.content.entity else {}
        self.digest = view_digest(definitions, view)
        self.notes = Notes()

    def run(
        self,
        writer: ViewWriter,
        *,
        until: datetime | None,
        tables: Mapping[str, pl.DataFrame | pl.LazyFrame],
        replace: bool,
    ) -> Materialized:
        before = None if writer.mark is None or replace else self._mark(writer.mark)
        if before is None:
            writer.clear()
        events = self._events(until, tables)
        if before is not None and until is not None and as_microseconds(until) < before.until:
            raise ValueError(
                f"{self.place} holds what was available until {before.until_text}; until {until} would take it back: "
                "give a later time, or --replace"
            )
        entries, latest = self._entries(events)
        end = as_microseconds(until) if until is not None else latest
        content = self.content
        evaluation = Evaluation(
            definitions=stored_form(self.definitions, self.view),
            view=self.view,
            ttl=None if content.ttl is None else microseconds(content.ttl),
            until=end,
        )
        moments, entities = self._entities(events, entries, end)
        old = writer.fingerprints() if before is not None else {}
        keys = [key_text(row) for row in entities.select(*self.keys).iter_rows()] if self.keys else ["[]"]
        keys = keys[: entities.height]
        entities = entities.with_columns(pl.Series("__key", keys, dtype=pl.String))
        fingerprints = entities["__fingerprint"].to_list()
        if old:
            touched = [old.get(key) != print_ for key, print_ in zip(keys, fingerprints, strict=True)]
            entities = entities.filter(pl.Series(touched, dtype=pl.Boolean))
        for chunk in _chunks(entities):
            writer.put(self._rows(evaluation, chunk, events, moments))
        gone = set(old).difference(keys)
        writer.delete(gone)
        zoned = events.schema[TIME] != pl.Datetime("us")
        values, reasons = evaluation.unknown(events)
        mark = ViewMark(
            format=FORMAT,
            digest=self.digest,
            definitions=self.definitions.digest,
            until=end,
            zoned=zoned,
            entities=len(keys),
            events=events.height,
            unknown_values=values,
            unknown_reasons=reasons,
        )
        writer.finish(mark.to_text())
        return Materialized(
            view=self.view,
            until=as_datetime(end, zoned=zoned),
            events=events.height,
            entities=len(keys),
            written=entities.height,
            removed=len(gone),
            notes=tuple(self.notes.lines()),
        )

    def _mark(self, text: str) -> ViewMark:
        mark = read_mark(text, place=self.place)
        if mark.digest != self.digest:
            raise ValueError(
                f"{self.place} is of other definitions ({mark.digest[:12]}, these are {self.digest[:12]}): --replace "
                "writes it anew, another --namespace keeps both"
            )
        return mark

    def _events(self, until: datetime | None, tables: Mapping[str, pl.DataFrame | pl.LazyFrame]) -> pl.DataFrame:
        name = self.content.source
        assert name is not None
        events = read_source(
            self.definitions.sources[name],
            name=name,
            keys=self.keys,
            notes=self.notes,
            table=tables.get(name),
            columns=[column for feature in self.content.history.values() for column in columns_read(feature)],
            root=self.root,
        ).collect()
        if until is None:
            return events
        zoned = events.schema[TIME] != pl.Datetime("us")
        if zoned != (until.tzinfo is not None):
            raise ValueError(
                f"until: {until} is given {'without' if zoned else 'with'} a zone, the times of source {name!r} are "
                f"{'with' if zoned else 'without'} one"
            )
        clock = AVAILABLE if AVAILABLE in events.columns else TIME
        known = events.filter(pl.col(clock).to_physical() <= as_microseconds(until))
        self.notes.add(
            f"source {name!r}", f"became available after {until}: not used yet", events.height - known.height
        )
        return known

    def _entries(self, events: pl.DataFrame) -> tuple[pl.DataFrame, int]:
        """When each event becomes visible and stops to be, by row, and the last of these times."""
        times = events[TIME].to_physical().cast(pl.Int64)
        known = events[AVAILABLE].to_physical().cast(pl.Int64) if AVAILABLE in events.columns else times
        entry = pl.DataFrame({TIME: times, "__known": known}).select(
            TIME, __entry=pl.max_horizontal(pl.col(TIME) + 1, "__known")
        )
        if ID in events.columns:
            entry = entry.with_columns(_replaced(events[ID], known))
            entry = entry.with_columns(pl.max_horizontal("__entry", "__replaced"))
        latest = entry["__entry"].max()
        return entry, latest if isinstance(latest, int) else 0

    def _entities(self, events: pl.DataFrame, entries: pl.DataFrame, end: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Moments of events by entity, and entities with their fingerprints."""
        keys = list(self.keys)
        hashed = [column for column in events.columns if column not in (*keys, ROW, ID)]
        frame = entries.with_columns(events.select(keys).get_columns()).with_columns(
            events.select(*hashed).hash_rows(0).alias("__hash")
        )
        if "__replaced" in frame.columns:
            frame = frame.with_columns(pl.struct("__hash", "__replaced").hash(0).alias("__hash"))
        aggregates = [
            pl.len().alias("__events"),
            pl.col("__entry").filter(pl.col("__entry") <= end).max().fill_null(end).alias(SINCE),
            pl.col(TIME).max().alias(LAST),
        ]
        if not keys:
            frame, keys = frame.with_columns(__all=0), ["__all"]
        entities = frame.group_by(keys, maintain_order=True).agg(aggregates).with_row_index(ENTITY)
        moments = frame.join(entities.select(ENTITY, *keys), on=keys, how="left", maintain_order="left")
        prints = _fingerprints(moments[ENTITY].to_numpy(), moments["__hash"].to_numpy())
        return moments.select(ENTITY, TIME, "__entry"), entities.with_columns(__fingerprint=prints)

    def _rows(
        self, evaluation: Evaluation, chunk: pl.DataFrame, events: pl.DataFrame, moments: pl.DataFrame
    ) -> Iterator[Row]:
        inside = moments[ENTITY].is_in(chunk[ENTITY].implode())
        own = events.filter(inside)
        if ID in events.columns:  # a version of another entity may replace one of these
            own = events.filter(
                inside | events[ID].is_in(own[ID].drop_nulls().unique().implode()).fill_null(value=False)
            )
        rows = evaluation.rows(chunk.select(*self.keys, ENTITY, SINCE, LAST), own, moments.filter(inside))
        prints = chunk["__fingerprint"].to_list()
        return map(Row, chunk["__key"].to_list(), rows, prints)


def _replaced(ids: pl.Series, known: pl.Series) -> pl.Series:
    """`__replaced`: when the next version of the same event became known; null for the last one.

    Args:
        ids: Number of each event; null for one that is never corrected.
        known: Time at which each version became known, in microseconds.
    """
    versions = pl.DataFrame([ids.alias(ID), known.alias("__known")]).with_row_index("__place")
    versions = versions.sort(ID, "__known", maintain_order=True)
    following = pl.when(pl.col(ID) == pl.col(ID).shift(-1)).then(pl.col("__known").shift(-1))
    return versions.with_columns(following.alias("__replaced")).sort("__place")["__replaced"]


def _fingerprints(owner: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Number per entity that changes with any of its events, and with their order: of equal times the last counts.

    Args:
        owner: Entity of each event, in order of the table, (n,).
        hashes: Hash of each event, uint64 (n,).
    """
    if not len(owner):
        return np.zeros(0, dtype=np.int64)
    order = np.argsort(owner, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(owner[order].astype(np.int64)) != 0]))
    counts = np.diff(np.concatenate([starts, [len(owner)]]))
    position = (np.arange(len(owner)) - np.repeat(starts, counts)).astype(np.uint64)
    mixed = hashes[order] * (2 * position + np.uint64(0x9E3779B97F4A7C15))  # wraps, as a hash may
    return np.add.reduceat(mixed, starts).view(np.int64)


def _chunks(entities: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Entities in parts of about as many events."""
    if not entities.height:
        return
    number = (entities["__events"].cast(pl.Int64).cum_sum() // _CHUNK).alias("__chunk")
    yield from entities.with_columns(number).partition_by("__chunk", maintain_order=True, include_key=False)
