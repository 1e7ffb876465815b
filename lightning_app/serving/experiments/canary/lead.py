"""CanaryLead: begins canaries, looks at them and ends them, on the server that holds the lease."""

import logging
import time
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from lightning_app.serving.config.control_channel import ResolvedModel
from lightning_app.serving.config.experiment_config import CanaryConfig
from lightning_app.serving.experiments.canary.canary_rows import CanaryRows, Pair, state_of
from lightning_app.serving.experiments.canary.counted_evidence import CountedEvidence
from lightning_app.serving.experiments.canary.decide import decide, share_of
from lightning_app.serving.experiments.canary.door import Door
from lightning_app.serving.experiments.canary.evidence import CHALLENGER, CHAMPION
from lightning_app.serving.experiments.canary.facts import event_of
from lightning_app.serving.experiments.canary.registry_door import Order
from lightning_app.serving.experiments.canary.state import CanaryState, Verdict
from lightning_app.serving.experiments.store import CanaryRunningError, Event, Experiment, Lease, Status
from lightning_app.serving.journal.stores.database import JournalDatabase

_log = logging.getLogger("lightning_app.serving")
_GONE_SECONDS = 30.0
"""How long a challenger may be missing: this server may be behind."""


class CanaryLead:
    """Canaries of one model, as long as this process holds the lease.

    Args:
        name: Name of the model in addresses.
        config: Of its canaries.
        registry: Address of the registry; None takes `$MLFLOW_TRACKING_URI`.
        lag_seconds: How long a server may take to follow an alias.
        database: Database of the journal.
        rows: Canaries of the model.
        lease: Held by the caller when it calls.
    """

    def __init__(
        self,
        *,
        name: str,
        config: CanaryConfig,
        registry: str | None,
        lag_seconds: float,
        database: JournalDatabase,
        rows: CanaryRows,
        lease: Lease,
    ) -> None:
        self._name, self._config, self._registry, self._lag = name, config, registry, lag_seconds
        self._database, self._rows, self._lease = database, rows, lease
        self._door = Door()
        self._evidence: tuple[str, CountedEvidence] | None = None
        self._missing_since: float | None = None
        self._not_before = 0.0  # monotonic time of the next attempt to begin a canary
        self._said = ""

    def close(self) -> None:
        """Ends what runs beside; another process goes on with it."""
        self._door.close()

    def begin(self, pair: Pair, now: float) -> None:
        """Begins a canary if there is a challenger, once its gates have been asked."""
        challenger, champion = pair.challenger, pair.champion
        if challenger is None or challenger.version is None or challenger.digest == champion.digest:
            return
        if time.monotonic() < self._not_before:
            return
        last = self._rows.last(pair)
        if last is not None and last.ended is not None:
            state = state_of(last)
            if state.verdict is not None and state.verdict.action == "keep":
                self._say(f"{last.id} has expired; {_title(challenger)} is not tried again while it is {CHALLENGER}")
                return
            if now - last.ended < self._lag:  # this server may not have followed the alias yet
                return
        canary = f"canary:{self._name}@{challenger.version}:{now:.0f}"
        state = CanaryState(
            model=self._name,
            registered=_registered(challenger),
            version=challenger.version,
            digest=challenger.digest,
            champion=champion.version,
            champion_digest=champion.digest,
            started=now,
            step_started=now,
        )
        done = self._door.ask(self._order(f"check:{challenger.digest}", state, "check"))
        if done is None:
            if self._door.words:
                self._say(f"a canary of {_title(challenger)} waits: {self._door.words}")
            return
        if done.outcome in ("moved", "failed"):
            self._say(f"no canary of {_title(challenger)}: {done.words}")
            self._not_before = time.monotonic() + self._lag
            return
        if done.outcome == "refused":
            state = replace(state, verdict=_rolled_back(f"not begun: {done.words}", now))
        try:
            self._rows.store.create(
                canary,
                model=self._name,
                kind="canary",
                spec=msgspec.to_builtins(self._config),
                state=msgspec.to_builtins(state),
            )
        except CanaryRunningError as error:
            self._say(str(error))
            return
        _log.info("%s begins: %s against %s; %s", canary, _title(challenger), _title(champion), done.words)
        row = self._rows.store.get(canary)
        assert row is not None
        self._write(row, state, [Event(kind="gates", facts={"words": done.words, "gates": done.gates})])

    def lead(self, row: Experiment, pair: Pair, now: float) -> None:
        """Looks at a running canary, and carries out its verdict."""
        state = state_of(row)
        if state.registered != _registered(pair.champion):
            self._say(
                f"{row.id} is of {state.registered} and runs under the name {self._name} in the same journal: "
                f"{_registered(pair.champion)} can have no canary until it has ended; give it another name"
            )
            return
        if state.verdict is None:
            if (obsolete := self._obsolete(state, pair)) is not None:
                status, reason = obsolete
                self._end(row, state, status, reason)
                return
            row, state = self._look(row, state, now)
        if state.verdict is not None:
            self._carry_out(row, state, now)

    def _look(self, row: Experiment, state: CanaryState, now: float) -> tuple[Experiment, CanaryState]:
        versions = {CHALLENGER: state.version, CHAMPION: state.champion}
        if self._evidence is None or self._evidence[0] != row.id:
            counted = CountedEvidence(self._database, row.id, versions=versions, reward=self._config.reward)
            self._evidence = row.id, counted
        counted = self._evidence[1]
        workers, evidence = len(counted.workers), counted.read()
        look = decide(self._config, state, evidence, now=now)
        events, after, recorded = [], look.state, event_of(self._config, state, look, evidence, now=now)
        if workers and len(counted.workers) > workers:
            # A worker that was killed has not written its last counts: up to a second of both arms is missing.
            facts = {"workers": len(counted.workers), "left_out": counted.num_left_out}
            events.append(Event(kind="worker", facts=facts))
        if recorded is not None:
            events.append(Event(kind=recorded[0], facts=recorded[1]))
        if after.verdict is not None:
            _log.info("%s: %s: %s", row.id, after.verdict.action, after.verdict.reason)
        elif after.step != state.step:
            _log.info("%s: %g %% of the requests", row.id, 100 * share_of(self._config, after))
        if not events and after == state:
            return row, state
        if recorded is not None:
            after = replace(after, looked=now)
        if not self._write(row, after, events, facts=recorded and recorded[1]):
            return row, state  # a person, or another server, has written meanwhile; the next look sees it
        return self._rows.store.get(row.id) or row, after

    def _carry_out(self, row: Experiment, state: CanaryState, now: float) -> None:
        """Changes the aliases as decided, and ends the canary when that is done."""
        verdict = state.verdict
        assert verdict is not None
        if verdict.action == "keep":
            self._end(row, state, verdict.status, verdict.reason)
            return
        done = self._door.ask(self._order(row.id, state, verdict.action, verdict))
        if done is None:
            if self._door.words:
                self._say(f"{row.id}: {verdict.action} waits: {self._door.words}")
            return
        event = Event(kind="door", facts=msgspec.to_builtins(done))
        if verdict.action == "promote" and done.outcome in ("refused", "failed"):
            after = replace(state, verdict=_rolled_back(f"{done.words}; {verdict.reason}", now))
            self._write(row, after, [event])
        elif done.outcome in ("done", "already"):
            self._end(row, state, verdict.status, verdict.reason, event)
        elif done.outcome == "moved":
            self._end(row, state, "stopped", f"{done.words}; it was to {verdict.action}: {verdict.reason}", event)
        else:
            self._end(row, state, verdict.status, f"{verdict.reason}; the registry: {done.words}", event)

    def _obsolete(self, state: CanaryState, pair: Pair) -> tuple[Status, str] | None:
        """Why a canary makes no sense any more; None if it does."""
        if pair.champion.digest == state.digest:
            return "promoted", f"{_title(pair.champion)} was made champion by hand"
        if pair.champion.digest != state.champion_digest:
            return "stopped", f"the champion is {_title(pair.champion)} by now; a new canary begins"
        if pair.challenger is None:
            since = self._missing_since = self._missing_since or time.monotonic()
            gone = time.monotonic() - since > _GONE_SECONDS
            return ("stopped", "no version is challenger any more") if gone else None
        self._missing_since = None
        if pair.challenger.digest != state.digest:
            return "stopped", f"superseded by {_title(pair.challenger)}"
        return None

    def _order(
        self,
        canary: str,
        state: CanaryState,
        action: Literal["check", "promote", "roll_back"],
        verdict: Verdict | None = None,
    ) -> Order:
        return Order(
            canary=canary,
            registry=self._registry,
            name=state.registered,
            version=state.version,
            champion=state.champion,
            alias=self._config.alias,
            gates=self._config.gates,
            action=action,
            reason="" if verdict is None else verdict.reason,
            forced=verdict is not None and verdict.forced,
        )

    def _write(
        self, row: Experiment, state: CanaryState, events: Sequence[Event], *, facts: dict[str, Any] | None = None
    ) -> bool:
        content = {**msgspec.to_builtins(state), "facts": row.state.get("facts", {}) if facts is None else facts}
        return self._rows.store.update(row, state=content, events=events, lease=self._lease)

    def _end(self, row: Experiment, state: CanaryState, status: Status, reason: str, *events: Event) -> None:
        content = {**row.state, **msgspec.to_builtins(state)}
        ended = [*events, Event(kind="ended", facts={"status": status, "reason": reason})]
        if self._rows.store.update(row, state=content, status=status, reason=reason, events=ended, lease=self._lease):
            _log.info("%s: %s: %s", row.id, status, reason)
            self._evidence = None

    def _say(self, words: str) -> None:
        if words != self._said:
            _log.warning("canary: %s", words)
            self._said = words


def _rolled_back(reason: str, now: float) -> Verdict:
    return Verdict(action="roll_back", status="rolled_back", reason=reason, time=now)


def _registered(model: ResolvedModel) -> str:
    """Name in the registry."""
    return model.reference.partition("@")[0]


def _title(model: ResolvedModel) -> str:
    return model.reference if model.version is None else f"{_registered(model)}@{model.version}"
