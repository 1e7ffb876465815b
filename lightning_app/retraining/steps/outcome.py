"""Outcomes of a step: the cycle goes on, waits, or ends."""

from typing import Any, TypeAlias

from msgspec import Struct

from lightning_app.retraining.cycles.cycle import End, LiveState


class Advance(Struct, frozen=True, kw_only=True):
    """The cycle comes to another state.

    Attributes:
        state: The state.
        words: What was done.
        facts: Facts that are added.
    """

    state: LiveState
    words: str
    facts: dict[str, Any] = {}


class Wait(Struct, frozen=True, kw_only=True):
    """The cycle stays in its state.

    Attributes:
        words: What it waits for.
        until: When it ends otherwise, Unix seconds; None if it waits without end.
    """

    words: str
    until: float | None = None


class Repeat(Struct, frozen=True, kw_only=True):
    """The step is done once more at once, with what it knows by now.

    Attributes:
        words: What happened.
        kind: Kind of the event.
        facts: Facts that are added.
        attempt: New attempt of the training; None leaves it.
    """

    words: str
    kind: str
    facts: dict[str, Any] = {}
    attempt: int | None = None


class Stop(Struct, frozen=True, kw_only=True):
    """The cycle ends.

    Attributes:
        state: How.
        reason: Why.
        facts: Facts that are added.
    """

    state: End
    reason: str
    facts: dict[str, Any] = {}


Outcome: TypeAlias = Advance | Wait | Repeat | Stop
