"""Context: what the steps of a cycle work with."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_app.retraining.config.policy import RetrainPolicy
from lightning_app.retraining.cycles import Cycle, CycleEvent, CycleStore
from lightning_app.serving.journal.stores.database import JournalDatabase

if TYPE_CHECKING:
    from lightning_app.registry import Registry


class Context:
    """Policy, journal, registry and folders of a tick.

    Args:
        policy: The policy.
        database: Database of the journal.
        now: Unix seconds.

    Attributes:
        policy: The policy.
        database: Database of the journal.
        store: Cycles in it.
        now: Unix seconds.
        model_folder: Folder of all cycles of the model.
    """

    def __init__(self, *, policy: RetrainPolicy, database: JournalDatabase, now: float) -> None:
        self.policy, self.database, self.now = policy, database, now
        self.store = CycleStore(database)
        self.model_folder = Path(policy.folder).resolve() / policy.model

    @cached_property
    def registry(self) -> "Registry":
        """The registry; imported when a step first needs it."""
        from lightning_app.registry import Registry

        return Registry(self.policy.registry)

    def folder(self, cycle: Cycle) -> Path:
        """Folder of a cycle.

        Args:
            cycle: The cycle.
        """
        return self.model_folder / cycle.cycle_id

    def orders(self, cycle: Cycle, kind: str) -> list[CycleEvent]:
        """What persons ordered for a cycle.

        Args:
            cycle: The cycle.
            kind: `approve` or `reject`.
        """
        return [
            event for event in self.store.events(cycle.model) if event.cycle_id == cycle.cycle_id and event.kind == kind
        ]
