"""Replay: events fed one by one to the online form in the order in which they became available, with reads between."""

from collections.abc import Collection, Iterable

import polars as pl

from features.online import OnlineView
from features.online.event import Event, Key

_BLOCK = 20_000


def in_order_of_arrival(events: Iterable[Event]) -> list[Event]:
    """Events in the order in which they became available; of one time, in that of the table.

    Args:
        events: Events in the order of the table.
    """
    return sorted(events, key=lambda event: event.available)


def replay(
    view: OnlineView,
    events: list[Event],
    reads: list[tuple[Key, int]],
    schema: dict[str, pl.DataType],
    *,
    entities: Collection[Key] | None = None,
) -> pl.DataFrame:
    """Feeds events and reads features, each read after all events that were available at its time.

    Args:
        view: An empty online view.
        events: Events in order of arrival.
        reads: Keys and times in microseconds, ascending in time.
        schema: Types of the values and reasons, as in the batch form.
        entities: Entities to feed; None for all.

    Returns:
        `view.feature` and `view.feature__reason` of each feature, one row per read, as the batch form gives them.
    """
    names = [f"{view.name}.{name}" for name in view.features]
    blocks: list[pl.DataFrame] = []
    values: list[list[object]] = [[] for _ in names]
    reasons: list[list[int]] = [[] for _ in names]
    fed = 0
    for number, (key, at) in enumerate(reads, start=1):
        while fed < len(events) and events[fed].available <= at:
            if entities is None or events[fed].key in entities:
                view.add(events[fed])
            fed += 1
        for i, (value, reason) in enumerate(zip(*view.values(key, at), strict=True)):
            values[i].append(value)
            reasons[i].append(reason)
        if number % _BLOCK == 0 or number == len(reads):
            blocks.append(_frame(names, values, reasons, schema))
            values, reasons = [[] for _ in names], [[] for _ in names]
    return pl.concat(blocks) if blocks else _frame(names, values, reasons, schema)


def _frame(
    names: list[str], values: list[list[object]], reasons: list[list[int]], schema: dict[str, pl.DataType]
) -> pl.DataFrame:
    columns = []
    for name, cells, codes in zip(names, values, reasons, strict=True):
        columns.append(pl.Series(name, cells, dtype=schema[name], strict=False))
        columns.append(pl.Series(f"{name}__reason", codes, dtype=pl.UInt8))
    return pl.DataFrame(columns)
