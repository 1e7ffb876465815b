"""Transitions of an alert: inactive, pending, firing, resolved."""

from typing import NamedTuple

from msgspec.structs import replace

from lightning_app.monitoring.alerts.held_alert import HeldAlert
from lightning_app.monitoring.alerts.readings import Reading

RESOLVED_SECONDS = 86_400.0
"""How long a resolved alert is kept, for lists."""
_GONE = "it is not measured any more"


class Patience(NamedTuple):
    """What a rule waits for, in seconds.

    Attributes:
        hold: How long it has to hold before its alert fires.
        keep: How long it must not hold before its alert is resolved.
    """

    hold: float
    keep: float


def advance(
    held: HeldAlert | None, reading: Reading | None, patience: Patience, *, elapsed: float, now: float
) -> HeldAlert | None:
    """The alert after an evaluation.

    Args:
        held: The alert before it; None if it was inactive.
        reading: What its rule says now; None if there is nothing to say any more.
        patience: What the rule waits for.
        elapsed: Of the clock of alerts, in seconds.
        now: Unix seconds.

    Returns:
        The alert; None if it is inactive.
    """
    if held is not None and held.status == "resolved":
        if reading is None or not reading.holds:
            return held if elapsed - held.began < RESOLVED_SECONDS else None
        held = None
    if held is None:
        if reading is None or not reading.holds:
            return None
        held = HeldAlert(status="pending", labels=reading.labels, since=now, began=elapsed, text=reading.text)
    if reading is not None:
        held = _read(held, reading)
    if held.status == "pending":
        if reading is None or not reading.holds:
            return None
        if elapsed - held.began < patience.hold:
            return held
        return replace(held, status="firing", since=now, began=elapsed, fired=now)
    if reading is None:
        return _resolved(replace(held, text=f"{held.text}; {_GONE}", value=None), elapsed, now)
    if not reading.is_clear:
        return replace(held, cleared=None)
    cleared = elapsed if held.cleared is None else held.cleared
    if elapsed - cleared < patience.keep:
        return replace(held, cleared=cleared)
    return _resolved(held, elapsed, now)


def _read(held: HeldAlert, reading: Reading) -> HeldAlert:
    """With the latest value; the text of an alert that fires stays that of the last time that its rule held."""
    text = reading.text if reading.holds else held.text
    annotations = reading.annotations if reading.holds else held.annotations
    return replace(
        held,
        labels=reading.labels,
        value=reading.value,
        threshold=reading.threshold,
        text=text,
        annotations=annotations,
    )


def _resolved(held: HeldAlert, elapsed: float, now: float) -> HeldAlert:
    return replace(held, status="resolved", since=now, began=elapsed, cleared=None)
