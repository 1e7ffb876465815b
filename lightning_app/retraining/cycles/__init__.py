"""Cycles of continuous training: their states and events in the database of the journal."""

from lightning_app.retraining.cycles.cycle import ENDS, LIVE, Cycle, CycleEvent, LiveState, State
from lightning_app.retraining.cycles.store import CycleStore
from lightning_app.retraining.cycles.tick_lease import AnotherTickError, TickLease, tick_lease

__all__ = [
    "ENDS",
    "LIVE",
    "AnotherTickError",
    "Cycle",
    "CycleEvent",
    "CycleStore",
    "LiveState",
    "State",
    "TickLease",
    "tick_lease",
]
