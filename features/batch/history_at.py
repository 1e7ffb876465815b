"""Features of history at points in time, exact for every row: nothing later, nothing that was not available yet."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from features.batch.columns import Values, meets, values_of
from features.batch.entities import entity_codes
from features.batch.event_log import event_log
from features.batch.history_features import answer, column_dtype
from features.batch.reasons import Reason
from features.batch.visible import Visible, visible_events
from features.definitions import Definitions, HistoryFeature
from features.definitions.duration import microseconds
from features.sources import TIME


def history_at(
    view: str,
    definitions: Definitions,
    events: pl.LazyFrame,
    rows: pl.DataFrame,
    *,
    features: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Computes features of history at rows.

    Args:
        view: Name of the view.
        definitions: The definitions.
        events: Events of the view's source, as `read_source` returns them with the keys of the view's entity.
        rows: Key columns of their declared types, and `__time` as in the events. Order and duplicates are free.
        features: Names of features of the view; None for all of history.

    Returns:
        `view.feature` and `view.feature__reason` (codes of `Reason`, UInt8) for each feature, row by row.

    Raises:
        ValueError: Times of events and rows are not both with, or both without a zone.
    """
    content = definitions.views[view]
    chosen = {name: content.history[name] for name in (content.history if features is None else features)}
    log_rows = events.collect()
    if log_rows.schema[TIME] != rows.schema[TIME]:
        with_zone = "the rows" if rows.schema[TIME] != pl.Datetime("us") else f"the events of source {content.source!r}"
        raise ValueError(
            f"views.{view}: only the times of {with_zone} have a time zone; give both a zone, or none (time_zone of "
            "the source says what its times are)"
        )
    keys = list(definitions.entities[content.entity].keys) if content.entity else []
    codes, asked = entity_codes(log_rows, rows, keys)
    usable = ~rows.select(pl.any_horizontal([pl.col(name).is_null() for name in (*keys, TIME)])).to_series().to_numpy()
    times = rows[TIME].to_physical().fill_null(0).to_numpy().astype(np.int64, copy=False)
    columns: dict[str, Values] = {}
    for feature in chosen.values():
        name = getattr(feature, "column", None)
        if name is not None and name not in columns:
            columns[name] = values_of(log_rows[name])
    outputs = {
        name: _Output(feature, columns.get(getattr(feature, "column", None) or ""), rows.height)
        for name, feature in chosen.items()
    }
    conditions = {
        name: meets(log_rows[condition.column], condition, place=f"views.{view}.features.{name}")
        for name, feature in chosen.items()
        if (condition := getattr(feature, "where", None)) is not None
    }
    ttl = None if content.ttl is None else microseconds(content.ttl)
    known = np.flatnonzero(usable)
    for seen in visible_events(event_log(log_rows, codes), asked[known], times[known]):
        expired = _expired(seen, ttl)
        for name, output in outputs.items():
            output.fill(seen, known[seen.rows], expired, conditions.get(name))
    result: list[pl.Series] = []
    for name, output in outputs.items():
        result += output.series(f"{view}.{name}")
    return pl.DataFrame(result)


def _expired(seen: Visible, ttl: int | None) -> np.ndarray | None:
    if ttl is None:
        return None
    count = seen.ranges.count
    newest = seen.histories.times[np.maximum(seen.ranges.high - 1, 0)] if len(seen.histories.times) else seen.times
    return (count > 0) & (seen.times - newest > ttl)


class _Output:
    """Values and reasons of one feature, filled chunk by chunk."""

    def __init__(self, feature: HistoryFeature, column: Values | None, height: int) -> None:
        self.feature, self.column = feature, column
        self.dtype = column_dtype(feature, column)
        self.values: np.ndarray | None = None
        self.taken = False
        self.reasons = np.full(height, Reason.MISSING, dtype=np.uint8)

    def fill(self, seen: Visible, rows: np.ndarray, expired: np.ndarray | None, where: np.ndarray | None) -> None:
        part = answer(self.feature, seen, column=self.column, where=where)
        if self.values is None:
            self.values, self.taken = np.zeros(len(self.reasons), dtype=part.values.dtype), part.taken
        self.values[rows] = part.values
        self.reasons[rows] = part.reasons if expired is None else np.where(expired, Reason.EXPIRED, part.reasons)

    def series(self, name: str) -> list[pl.Series]:
        present = pl.Series(self.reasons == Reason.PRESENT)
        reasons = pl.Series(f"{name}__reason", self.reasons)
        if self.values is None:
            return [pl.Series(name, [None] * len(self.reasons), dtype=self.dtype), reasons]
        if self.taken:
            assert self.column is not None
            rows = pl.select(pl.when(present).then(pl.Series(self.values))).to_series()
            return [self.column.column.gather(rows).alias(name), reasons]
        values = pl.select(pl.when(present).then(pl.Series(self.values))).to_series()
        if self.dtype == pl.String:
            assert self.column is not None
            distinct = self.column.column.drop_nulls().unique().sort()
            values = distinct.gather(values - 1)
        return [values.cast(self.dtype).alias(name), reasons]
