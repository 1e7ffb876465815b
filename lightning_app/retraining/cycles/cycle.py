"""Cycle: one way of a model from a trigger to a promotion or another end, and the events on it."""

import hashlib
from typing import Any, Literal, get_args

import msgspec

LiveState = Literal["triggered", "frozen", "training", "exported", "registered", "gated", "shadow", "canary"]
End = Literal["promoted", "rejected", "rolled_back", "expired", "failed"]
State = Literal[LiveState, End]
LIVE: tuple[LiveState, ...] = get_args(LiveState)
ENDS: tuple[End, ...] = get_args(End)


class Cycle(msgspec.Struct, frozen=True, kw_only=True):
    """A cycle as it is in the database.

    Attributes:
        cycle_id: Its id, never used again; see `cycle_id_of`.
        model: Name of the model.
        state: How far it is, or how it ended.
        attempt: Attempt of the training, from 1.
        fence: Fence of the lease under which it was changed last.
        spec: What it was begun with, as JSON can hold it.
        facts: What it knows by now, as JSON can hold it.
        created: When it began, Unix seconds.
        entered: When it came to its state.
        updated: When it was changed last.
        ended: When it ended; None while it is live.
        reason: Why it ended.
    """

    cycle_id: str
    model: str
    state: State
    attempt: int
    fence: int
    spec: dict[str, Any]
    facts: dict[str, Any]
    created: float
    entered: float
    updated: float
    ended: float | None
    reason: str | None


class CycleEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a cycle or to a model.

    Attributes:
        number: Grows from event to event.
        model: Name of the model.
        cycle_id: The cycle; None of events of the model.
        time: When, Unix seconds.
        kind: A state, or e.g. `approve`.
        facts: More about it, as JSON can hold it.
    """

    number: int
    model: str
    cycle_id: str | None
    time: float
    kind: str
    facts: dict[str, Any]


def cycle_id_of(*, model: str, trigger: str, window: str, champion: str, config: str, data: str) -> str:
    """Id of a cycle: the same for the same work.

    Args:
        model: Name of the model.
        trigger: Kind of the trigger.
        window: What the trigger is about, e.g. the window that drifted.
        champion: Digest of the champion's package; empty without one.
        config: Digest of the config of the training.
        data: Digest of what there is to train on.
    """
    content = msgspec.json.encode([model, trigger, window, champion, config, data])
    return hashlib.sha256(content).hexdigest()[:16]
