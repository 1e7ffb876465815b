"""Serialization of a state: msgpack with the version of the layout and the digest of the view, for online stores."""

from typing import Any

import msgspec

from features.online.entity_state import EntityState
from features.online.plan import ViewPlan

VERSION = 1
_DECODER = msgspec.msgpack.Decoder()
_ENCODER = msgspec.msgpack.Encoder()


def encode_state(plan: ViewPlan, state: EntityState, *, zones: dict[str, bool]) -> bytes:
    """A state as bytes.

    Args:
        plan: Plan of its view.
        state: The state.
        zones: Whether the times of a column have a zone, by column.
    """
    return _ENCODER.encode(
        [
            VERSION,
            plan.digest,
            zones,
            state.clock,
            state.horizon,
            state.folded_before,
            state.newest_dropped,
            state.arrivals,
            state.limit,
            state.times,
            state.available,
            state.columns,
            state.masks,
            state.ids,
            [accumulator.pack() for accumulator in state.accumulators],
        ]
    )


def decode_state(plan: ViewPlan, content: bytes, *, name: str) -> tuple[EntityState, dict[str, bool]]:
    """Decodes a state; also whether the times of a column have a zone, by column.

    Args:
        plan: Plan of its view.
        content: Output of `encode_state`.
        name: Name of the view, for messages.

    Raises:
        ValueError: The bytes are no state, or one of another layout or of other features.
    """
    try:
        parts: list[Any] = _DECODER.decode(content)
        version, digest, zones, rest = parts[0], parts[1], parts[2], parts[3:]
    except (msgspec.DecodeError, TypeError, IndexError, KeyError) as error:
        raise ValueError(f"view {name!r}: these {len(content)} bytes are no state of an entity") from error
    if version != VERSION:
        raise ValueError(
            f"view {name!r}: a state of layout {version!r}, this version reads layout {VERSION}: materialize it anew"
        )
    if digest != plan.digest:
        raise ValueError(
            f"view {name!r}: a state of other features (digest {str(digest)[:12]}, the view's is {plan.digest[:12]}): "
            "materialize it anew"
        )
    state = EntityState(plan)
    state.clock, state.horizon, state.folded_before, state.newest_dropped, state.arrivals, state.limit = rest[:6]
    state.times, state.available, state.columns, state.masks = rest[6:10]
    state.ids = [None if one is None else tuple(one) for one in rest[10]]
    for accumulator, packed in zip(state.accumulators, rest[11], strict=True):
        accumulator.unpack(packed)
    return state, zones
