"""CanaryDriver: routes the requests of one model by its canary, on each of the servers that share a journal.

The server that holds the lease decides, see `lead`; all follow the state that it writes. A canary runs for one version
of the challenger against one of the champion: where either changes, it ends, and another begins.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from lightning_app.serving.config.control_channel import ModelRouting, ResolvedModel
from lightning_app.serving.config.experiment_config import CanaryConfig
from lightning_app.serving.experiments.assignment import layout_of
from lightning_app.serving.experiments.canary.canary_rows import CanaryRows, Pair, state_of
from lightning_app.serving.experiments.canary.decide import share_of
from lightning_app.serving.experiments.canary.evidence import CHALLENGER, CHAMPION
from lightning_app.serving.experiments.canary.lead import CanaryLead
from lightning_app.serving.experiments.canary.state import CanaryState
from lightning_app.serving.experiments.store import Experiment, ExperimentStore, Lease
from lightning_app.serving.journal.stores.database import JournalDatabase

_LEASE_SECONDS = 15.0


class CanaryDriver:
    """Canaries of one model.

    Args:
        name: Name of the model in addresses.
        config: Of its canaries.
        registry: Address of the registry; None takes `$MLFLOW_TRACKING_URI`.
        poll_seconds: How often servers ask the registry for moved aliases.
        database: Database of the journal.
        holder: Name of this process, unique among all.
        models: Reads what this server has loaded.
    """

    def __init__(
        self,
        *,
        name: str,
        config: CanaryConfig,
        registry: str | None,
        poll_seconds: float,
        database: JournalDatabase,
        holder: str,
        models: Callable[[], Sequence[ResolvedModel]],
    ) -> None:
        self._name, self._config, self._models = name, config, models
        self._lag = 2 * poll_seconds + 10.0
        self._rows = CanaryRows(ExperimentStore(database), name)
        self._lease = Lease(database, name=f"canary:{name}", holder=holder, seconds=_LEASE_SECONDS)
        self._lead = CanaryLead(
            name=name,
            config=config,
            registry=registry,
            lag_seconds=self._lag,
            database=database,
            rows=self._rows,
            lease=self._lease,
        )

    def tick(self, now: float) -> ModelRouting | None:
        """Looks once.

        Args:
            now: Time in seconds since 1970.

        Returns:
            Who answers which share; None lets the champion answer everything.

        Raises:
            JournalError: The journal cannot be reached; nothing has changed.
        """
        pair = self._pair()
        if pair is None:
            return None
        row = self._rows.running()
        if self._lease.hold() is not None:
            if row is None:
                self._lead.begin(pair, now)
            else:
                self._lead.lead(row, pair, now)
            row = self._rows.running()
        return self._after_promotion(pair, now) if row is None else self._routing(row, pair)

    def close(self) -> None:
        """Ends what runs beside, and gives the lease back."""
        self._lead.close()
        if self._lease.fence is not None:
            self._lease.release()

    def _pair(self) -> Pair | None:
        arms = {model.arm: model for model in self._models() if model.name == self._name}
        return Pair(arms[CHAMPION], arms.get(CHALLENGER)) if CHAMPION in arms else None

    def _routing(self, row: Experiment, pair: Pair) -> ModelRouting | None:
        state = state_of(row)
        share = share_of(self._config, state)
        if share == 0 or pair.challenger is None or pair.challenger.digest != state.digest:
            return None
        if pair.champion.digest != state.champion_digest:
            return None
        return self._layout(row.id, share, {**row.state.get("facts", {}), **_public(state)})

    def _after_promotion(self, pair: Pair, now: float) -> ModelRouting | None:
        """Until this server has followed the alias, all requests still go to the challenger."""
        if pair.challenger is None:
            return None
        last = self._rows.last(pair)
        if last is None or last.status != "promoted" or now - (last.ended or 0.0) > self._lag:
            return None
        return self._layout(last.id, 1.0, _public(state_of(last)))

    def _layout(self, canary: str, share: float, facts: dict[str, Any]) -> ModelRouting:
        shares = {CHALLENGER: share, CHAMPION: 1 - share} if share < 1 else {CHALLENGER: 1.0}
        return ModelRouting(name=self._name, experiment=canary, layout=layout_of(shares), facts=facts)


def _public(state: CanaryState) -> dict[str, Any]:
    verdict = None if state.verdict is None else msgspec.to_builtins(state.verdict)
    facts = {"kind": "canary", "version": state.version, "champion": state.champion, "started": state.started}
    return {**facts, "verdict": verdict}
