"""Quarantine: versions and frozen sets of cycles whose version was rolled back."""

from msgspec import Struct

from lightning_app.retraining.cycles import CycleStore


class Quarantine(Struct, frozen=True, kw_only=True):
    """What is not to be used again.

    Attributes:
        versions: Versions.
        frozen: Digests of frozen sets.
        since: When the last one came in, Unix seconds; None without any.
    """

    versions: frozenset[int]
    frozen: frozenset[str]
    since: float | None


def quarantine_of(store: CycleStore, model: str) -> Quarantine:
    """Quarantine of a model.

    Args:
        store: Cycles.
        model: Name of the model.
    """
    later = {event.cycle_id: event.time for event in store.events(model) if event.kind == "rolled_back"}
    back = [cycle for cycle in store.cycles(model) if cycle.state == "rolled_back" or cycle.cycle_id in later]
    times = [later.get(cycle.cycle_id, cycle.ended or cycle.updated) for cycle in back]
    return Quarantine(
        versions=frozenset(cycle.facts["version"] for cycle in back if "version" in cycle.facts),
        frozen=frozenset(cycle.facts["frozen"] for cycle in back if "frozen" in cycle.facts),
        since=max(times, default=None),
    )
