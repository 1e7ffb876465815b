"""Evaluation of stored rows: the batch form at the last event of each entity, and whenever a window changes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
import polars as pl

from features.batch import history_at
from features.definitions import Aggregate, Decayed, Definitions, FeatureView, HistoryFeature, TimeSince
from features.definitions.duration import microseconds
from features.sources import TIME
from features.store.stored_row import ENCODER, Change, StoredRow

NEWEST = "__newest"
ENTITY, SINCE, LAST = "__entity", "__since", "__last"
_SCHEDULED = "__scheduled"


def stored_form(definitions: Definitions, view: str) -> Definitions:
    """Definitions of the stored features of a view.

    Its features of history without a time to live, times since events in microseconds, and the age of the newest event.

    Args:
        definitions: The definitions.
        view: Name of the view.
    """
    content = definitions.views[view]
    features: dict[str, HistoryFeature] = {name: _stored(feature) for name, feature in content.history.items()}
    features[NEWEST] = TimeSince(per="1us")
    stored = FeatureView(features=dict(features), source=content.source, entity=content.entity)
    return Definitions(views={view: stored}, entities=definitions.entities, sources=definitions.sources)


def _stored(feature: HistoryFeature) -> HistoryFeature:
    return msgspec.structs.replace(feature, per="1us") if isinstance(feature, TimeSince) else feature


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Computes rows of entities of one view.

    Attributes:
        definitions: The stored form.
        view: Name of the view.
        ttl: Microseconds after its newest event at which an entity's features are missing; None for never.
        until: Microseconds; what becomes visible later is a change of the row.
    """

    definitions: Definitions
    view: str
    ttl: int | None
    until: int

    @property
    def features(self) -> Mapping[str, HistoryFeature]:
        """Features as they are stored; the last one is the age of the newest event."""
        return self.definitions.views[self.view].history

    def unknown(self, events: pl.DataFrame) -> tuple[list[object], list[int]]:
        """Values and reasons of an entity that was never seen.

        Args:
            events: Any events, for the types of their columns.
        """
        content = self.definitions.views[self.view]
        keys = list(self.definitions.entities[content.entity].keys) if content.entity else []
        none = events.clear()
        row = pl.DataFrame(pl.Series(TIME, [self.until]).cast(events.schema[TIME]))
        # Any key will do, there are no events; a null one would have a reason of its own.
        row = row.with_columns(_any_value(events.schema[key]).alias(key) for key in keys)
        answer = history_at(self.view, self.definitions, none.lazy(), row)
        names = [f"{self.view}.{name}" for name in self.features][:-1]
        return [answer[name][0] for name in names], [answer[f"{name}__reason"][0] for name in names]

    def rows(self, entities: pl.DataFrame, events: pl.DataFrame, moments: pl.DataFrame) -> Iterator[bytes]:
        """Rows of entities, encoded.

        Args:
            entities: Key columns, `__entity` (0 to n - 1, ascending), `__since` and `__last`, the time of the last
                event, in microseconds.
            events: Events that they see, as `read_source` returns them.
            moments: `__entity`, `__time` of their events in microseconds, and `__entry`, when each becomes visible.
        """
        asked = self._asked(entities, moments)
        keys = [name for name in entities.columns if not name.startswith("__")]
        times = asked[TIME].to_numpy()
        rows = asked.join(entities.select(ENTITY, *keys), on=ENTITY, how="left", maintain_order="left")
        rows = rows.select(*keys, pl.col(TIME).cast(events.schema[TIME]))
        answer = history_at(self.view, self.definitions, events.lazy(), rows)
        owner = asked[ENTITY].to_numpy()
        is_first = np.concatenate([[True], owner[1:] != owner[:-1]]) if len(owner) else np.zeros(0, dtype=bool)
        first = np.flatnonzero(is_first)
        places = np.cumsum(is_first) - 1
        scheduled = asked[_SCHEDULED].to_numpy()
        columns, reasons = [], []
        changes: list[list[Change]] = [[] for _ in range(len(first))]
        for index, (name, feature) in enumerate(self.features.items()):
            values, codes = answer[f"{self.view}.{name}"], answer[f"{self.view}.{name}__reason"]
            if isinstance(feature, TimeSince):
                values = asked[TIME] - values.cast(pl.Int64)
            elif isinstance(values.dtype, pl.Datetime):
                values = values.to_physical()
            columns.append(values.gather(first).to_list())
            reasons.append(codes.gather(first).to_numpy())
            if len(first) == len(owner):
                continue
            differs = scheduled if isinstance(feature, Decayed) else _differs(values, codes)
            _collect(changes, np.flatnonzero(differs & ~is_first), index, places, times, values, codes)
        missing: np.ndarray = np.stack(reasons[:-1], axis=1).astype(np.uint8)
        with_missing = np.asarray(missing.any(axis=1))
        for place, (since, *own) in enumerate(zip(times[first].tolist(), *columns, strict=True)):
            later = changes[place]
            yield ENCODER.encode(
                StoredRow(
                    since=since,
                    values=own,
                    reasons=missing[place].tobytes() if with_missing[place] else None,
                    next_change=min(change.times[0] for change in later) if later else None,
                    changes=ENCODER.encode(later) if later else None,
                )
            )

    def _asked(self, entities: pl.DataFrame, moments: pl.DataFrame) -> pl.DataFrame:
        """`__entity`, `__time` and `__scheduled` of each time at which a row begins or changes, in order."""
        begin = entities.select(ENTITY, pl.col(SINCE).alias(TIME), pl.lit(value=False).alias(_SCHEDULED))
        known = moments.join(entities.select(ENTITY, SINCE, LAST), on=ENTITY, how="left", maintain_order="left")
        later = known.filter(pl.col("__entry") > self.until)
        parts = [begin, later.select(ENTITY, pl.col("__entry").alias(TIME), pl.lit(value=True).alias(_SCHEDULED))]
        for shift in self._shifts():
            moved = (pl.col(TIME) + shift).alias(TIME)
            is_later = pl.col(TIME) + shift > pl.col(SINCE)
            if self.ttl is not None:
                is_later &= pl.col(TIME) + shift <= pl.col(LAST) + self.ttl
            parts.append(known.filter(is_later).select(ENTITY, moved, pl.lit(value=False).alias(_SCHEDULED)))
        return pl.concat(parts).group_by(ENTITY, TIME).agg(pl.col(_SCHEDULED).any()).sort(ENTITY, TIME)

    def _shifts(self) -> set[int]:
        """Microseconds from an event until it enters or leaves a window."""
        shifts = set()
        for feature in self.features.values():
            if isinstance(feature, Aggregate):
                offset = microseconds(feature.offset) if feature.offset else 0
                if offset:
                    shifts.add(offset + 1)
                if feature.window:
                    shifts.add(offset + microseconds(feature.window) + 1)
        return shifts


def _differs(values: pl.Series, codes: pl.Series) -> np.ndarray:
    """Whether a value or its reason is another one than in the row before."""
    same = values.eq_missing(values.shift(1)) & (codes == codes.shift(1))
    return ~same.fill_null(value=False).to_numpy()


def _collect(
    changes: list[list[Change]],
    chosen: np.ndarray,
    index: int,
    places: np.ndarray,
    times: np.ndarray,
    values: pl.Series,
    codes: pl.Series,
) -> None:
    """Appends the changes of a feature to those of their entities."""
    if not len(chosen):
        return
    owners, starts = np.unique(places[chosen], return_index=True)
    moments, later, reasons = times[chosen].tolist(), values.gather(chosen).to_list(), codes.gather(chosen).to_list()
    ends = [*starts[1:].tolist(), len(chosen)]
    for place, begin, end in zip(owners.tolist(), starts.tolist(), ends, strict=True):
        changes[place].append(
            Change(index=index, times=moments[begin:end], values=later[begin:end], reasons=reasons[begin:end])
        )


def _any_value(dtype: pl.DataType) -> pl.Expr:
    return pl.lit("" if dtype == pl.String else 0).cast(dtype)
