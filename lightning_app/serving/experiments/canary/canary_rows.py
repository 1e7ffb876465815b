"""CanaryRows: the canaries of one model in the table of experiments."""

from dataclasses import dataclass

import msgspec

from lightning_app.serving.config.control_channel import ResolvedModel
from lightning_app.serving.experiments.canary.state import CanaryState
from lightning_app.serving.experiments.store import Experiment, ExperimentStore


@dataclass(frozen=True)
class Pair:
    """Versions that a server has loaded.

    Attributes:
        champion: The champion.
        challenger: The challenger, if there is one.
    """

    champion: ResolvedModel
    challenger: ResolvedModel | None


class CanaryRows:
    """Canaries of one model.

    Args:
        store: Experiments of all models.
        name: Name of the model in addresses.

    Attributes:
        store: Experiments of all models.
    """

    def __init__(self, store: ExperimentStore, name: str) -> None:
        self.store = store
        self._name = name

    def running(self) -> Experiment | None:
        """The canary that runs."""
        return next((row for row in self.store.running(self._name) if row.kind == "canary"), None)

    def last(self, pair: Pair) -> Experiment | None:
        """The last canary of a challenger against a champion.

        Args:
            pair: The two.
        """
        assert pair.challenger is not None
        digests = (pair.challenger.digest, pair.champion.digest)
        rows = [row for row in self.store.list() if row.kind == "canary" and row.model == self._name]
        same = [row for row in rows if (row.state["digest"], row.state["champion_digest"]) == digests]
        return max(same, key=lambda row: row.created, default=None)


def state_of(row: Experiment) -> CanaryState:
    """State of a canary.

    Args:
        row: The canary.
    """
    return msgspec.convert(row.state, CanaryState)
