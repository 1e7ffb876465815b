"""Features of history at points in time, exact for every row: nothing later, nothing that was not available yet."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from features.batch.answers import Answers
from features.batch.columns import Values, meets
from features.batch.entities import entity_codes
from features.batch.event_log import event_log
from features.batch.visible import Visible, visible_events
from features.batch.windows import EventSubsets, Windows
from features.definitions import Definitions
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
    table = events.collect()
    _check_zones(table, rows, place=f"views.{view}", source=content.source or "")
    keys = list(definitions.entities[content.entity].keys) if content.entity else []
    codes, asked = entity_codes(table, rows, keys)
    usable = rows.select(pl.all_horizontal([pl.col(name).is_not_null() for name in (*keys, TIME)])).to_series()
    known = np.flatnonzero(usable.to_numpy())
    times = rows[TIME].to_physical().fill_null(0).to_numpy().astype(np.int64, copy=False)
    names = dict.fromkeys(name for one in chosen.values() if (name := getattr(one, "column", None)) is not None)
    columns = {name: Values(column=table[name]) for name in names}
    conditions = {
        where: meets(table[where.column], where, place=f"views.{view}.features.{name}")
        for name, feature in chosen.items()
        if (where := getattr(feature, "where", None)) is not None
    }
    log = event_log(table, codes)
    answers = Answers(chosen, columns, rows.height)
    subsets, of_copies = (EventSubsets(conditions=conditions, columns=columns) for _ in range(2))
    ttl = None if content.ttl is None else microseconds(content.ttl)
    for seen in visible_events(log, asked[known], times[known]):
        windows = Windows(seen, of_copies if seen.copied else subsets)
        answers.fill(windows, known[seen.rows], _expired(seen, ttl))
    return answers.frame(view)


def _check_zones(events: pl.DataFrame, rows: pl.DataFrame, *, place: str, source: str) -> None:
    if events.schema[TIME] != rows.schema[TIME]:
        with_zone = "the rows" if rows.schema[TIME] != pl.Datetime("us") else f"the events of source {source!r}"
        raise ValueError(
            f"{place}: only the times of {with_zone} have a time zone; give both a zone, or none (time_zone of the "
            "source says what its times are)"
        )


def _expired(seen: Visible, ttl: int | None) -> np.ndarray | None:
    if ttl is None or not len(seen.histories.times):
        return None
    newest = np.take(seen.histories.times, seen.ranges.high - 1, mode="clip")
    return (seen.ranges.count > 0) & (seen.times - newest > ttl)
