"""Rows of online stores: the values of an entity's features from its last event on, and their later changes.

A row is exact at every time from `since` on, as long as no further event becomes known. Values of windows change as
events leave them; these changes are known in advance and part of the row. Values that change all the time are stored as
their inputs: `time_since` as the time of its event, `decayed` as its value at a time.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from features.store.clock import as_microseconds


class Change(msgspec.Struct, array_like=True, gc=False):
    """Later values of one feature.

    Attributes:
        index: Place of the feature; that of the time of the newest event is the last.
        times: Microseconds from which each value holds, ascending.
        values: Values.
        reasons: Reason codes.
    """

    index: int
    times: list[int]
    values: list[Any]
    reasons: list[int]


class StoredRow(msgspec.Struct, array_like=True, gc=False):
    """Row of an entity.

    Attributes:
        since: Microseconds from which the row holds.
        values: Values of the features in the order of the view, then the event time of the newest event.
        reasons: Reason codes; None if no value is missing.
        next_change: Time of the first change; None if there is none.
        changes: Changes, encoded: most reads need none.
    """

    since: int
    values: list[Any]
    reasons: bytes | None = None
    next_change: int | None = None
    changes: bytes | None = None


ENCODER = msgspec.msgpack.Encoder()
ROWS = msgspec.msgpack.Decoder(StoredRow)
CHANGES = msgspec.msgpack.Decoder(list[Change])
_KEYS = msgspec.json.Encoder()


def key_text(key: Sequence[Any]) -> str:
    """Text of a key: its values as a JSON list, times in microseconds.

    Args:
        key: Values of the key columns, of their declared types.
    """
    if len(key) == 1 and type(key[0]) is int:  # most keys
        return f"[{key[0]}]"
    return _KEYS.encode([as_microseconds(part) if isinstance(part, datetime) else part for part in key]).decode()
