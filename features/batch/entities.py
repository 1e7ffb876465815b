"""Entities: keys encoded as integers, consistently for events and rows."""

from collections.abc import Sequence

import numpy as np
import polars as pl


def entity_codes(events: pl.DataFrame, rows: pl.DataFrame, keys: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Numbers entities.

    Args:
        events: Events; keys are never null.
        rows: Rows.
        keys: Key columns of both, of equal types; none if all events are of one history.

    Returns:
        Numbers of the events' entities, int64 (n,), and of the rows', -1 for one without events or key, int64 (m,).
    """
    if not keys:
        return np.zeros(events.height, dtype=np.int64), np.zeros(rows.height, dtype=np.int64)
    if not events.height:
        return np.zeros(0, dtype=np.int64), np.full(rows.height, -1)
    if len(keys) == 1 and events[keys[0]].dtype == pl.Int64:
        numbers, asked = events[keys[0]].to_numpy(), rows[keys[0]]
        low, high = int(numbers.min()), int(numbers.max())
        if high - low < 4 * events.height + 1000:
            inside = asked.is_between(low, high).fill_null(value=False).to_numpy()
            return numbers - low, np.where(inside, asked.fill_null(low).to_numpy() - low, -1)
    known = events.select(keys).unique(maintain_order=True).with_row_index("__code")
    own = events.select(keys).join(known, on=keys, how="left", maintain_order="left")["__code"]
    asked = rows.select(keys).join(known, on=keys, how="left", maintain_order="left")["__code"]
    return own.to_numpy().astype(np.int64), asked.cast(pl.Int64).fill_null(-1).to_numpy()
