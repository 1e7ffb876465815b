"""ExperimentDriver: life of a split or a bandit: registered once, decided by one server, followed by all."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from msgspec.structs import replace

from lightning_app.serving.config.control_channel import Interval, LinearState, ModelRouting
from lightning_app.serving.config.experiment_config import ExperimentConfig, Split
from lightning_app.serving.experiments.assignment import layout_of, moved
from lightning_app.serving.experiments.process.arm_facts import arm_facts, request_counts
from lightning_app.serving.experiments.process.driver import Server
from lightning_app.serving.experiments.process.evidence import Evidence, EvidenceReader
from lightning_app.serving.experiments.process.experiment_state import (
    ArmRecord,
    ExperimentState,
    LeftOut,
    Read,
    Settings,
)
from lightning_app.serving.experiments.process.registration import refusal, shares_of_config, specification
from lightning_app.serving.experiments.store import Event, Experiment, ExperimentStore, Lease

_log = logging.getLogger("lightning_app.serving.experiments")
_LEASE_SECONDS = 10.0
_FACTS_SECONDS = 5.0
_ANEW = 50
"""Parts of a half-life after which shares are decided anew, although no reward came in."""


class ExperimentDriver(ABC):
    """Takes part in an experiment: registers it, learns and decides while it holds the lease, follows otherwise.

    What is learned and how far the journal was read are one state, written at once: each reward counts once, whichever
    server goes on.

    Args:
        server: The server.
        name: Name of the model in addresses.
        config: The experiment.
        since: When the server was told this configuration, Unix seconds; of several servers, the newest decides shares.
    """

    needs_bodies: ClassVar[bool] = False
    """Whether requests are learned from, beside their rewards."""

    def __init__(self, *, server: Server, name: str, config: ExperimentConfig, since: float) -> None:
        self._server, self._name, self._config, self._since = server, name, config, since
        self._store = ExperimentStore(server.database)
        self._lease = Lease(
            server.database, name=f"experiment:{config.name}", holder=server.holder, seconds=_LEASE_SECONDS
        )
        missing_is_zero = not isinstance(config.policy, Split) and config.policy.missing_is_zero
        self._reader = EvidenceReader(
            server.database, config.name, reward=config.reward, with_body=self.needs_bodies,
            with_missing=missing_is_zero,
        )  # fmt: skip
        self._is_refused = False
        self._ahead: tuple[int, Read] = (-1, Read())
        self._linear: tuple[int, LinearState | None] = (-1, None)
        self._requests: tuple[float, Mapping[str, tuple[int, int]]] = (0.0, {})

    @abstractmethod
    def first(self, state: ExperimentState) -> None:
        """Completes the state of an experiment that begins.

        Args:
            state: The state.
        """

    @abstractmethod
    def learn(self, state: ExperimentState, evidence: Evidence, now: float) -> None:
        """Adds what is new to the statistics; those of a policy that learns nothing stay empty.

        Args:
            state: The state.
            evidence: What is new.
            now: Unix seconds.
        """

    @abstractmethod
    def shares(self, state: ExperimentState) -> Mapping[str, float]:
        """Decides the share of each arm.

        Args:
            state: The state.
        """

    def linear(self, state: ExperimentState) -> LinearState | None:  # noqa: ARG002  # only one policy goes by columns
        """Posterior by which workers choose; None where the layout says all.

        Args:
            state: The state.
        """
        return None

    def tick(self, now: float) -> ModelRouting | None:
        """Takes part once.

        Args:
            now: Unix seconds.

        Returns:
            Who answers which share.

        Raises:
            JournalError: The journal cannot be reached.
        """
        experiment = self._registered(now)
        problem = refusal(experiment, self._config, model=self._name)
        if problem is not None:
            return self._refused(problem)
        experiment = self._with_settings(experiment)
        if experiment.status == "running" and self._lease.hold() is not None:
            experiment = self._advanced(experiment, now)
        return self._routing(experiment, now)

    def close(self) -> None:
        """Gives the lease back, so that another server need not wait for its end.

        Raises:
            JournalError: The journal cannot be reached.
        """
        if self._lease.fence is not None:
            self._lease.release()

    def _registered(self, now: float) -> Experiment:
        """The experiment of this name; begun if there is none."""
        config = self._config
        experiment = self._store.get(config.name)
        if experiment is None:
            spec, state = specification(config), msgspec.to_builtins(self._first_state(now))
            kind = str(msgspec.to_builtins(config.policy)["kind"])
            if self._store.create(config.name, model=self._name, kind=kind, spec=spec, state=state):
                _log.info("experiment %s: begun", config.name, extra={"facts": {"experiment": config.name, **spec}})
            experiment = self._store.get(config.name)
        assert experiment is not None, "experiments are never deleted"
        return experiment

    def _first_state(self, now: float) -> ExperimentState:
        shares = dict(shares_of_config(self._config))
        state = ExperimentState(
            settings=Settings(since=self._since, shares=shares, policy=self._config.policy),
            layout=[],
            records={arm: ArmRecord() for arm in shares},
            read=Read(),
            left_out=LeftOut(),
            learned=now,
        )
        self.first(state)
        state.layout = layout_of(self.shares(state))
        return state

    def _with_settings(self, experiment: Experiment) -> Experiment:
        """The experiment with the shares of this server, if they are the newest; they need no lease."""
        state = _state(experiment)
        old, shares = state.settings, dict(shares_of_config(self._config))
        if experiment.status != "running" or old.since >= self._since:
            return experiment
        state.settings = Settings(since=self._since, shares=shares, policy=self._config.policy)
        if (old.shares, old.policy) == (shares, self._config.policy):
            return experiment
        self._decide(state)
        facts = {
            "before": {"shares": old.shares, "policy": msgspec.to_builtins(old.policy)},
            "after": {"shares": shares, "policy": msgspec.to_builtins(self._config.policy)},
        }
        return self._written(experiment, state, [Event(kind="settings", facts=facts)])

    def _advanced(self, experiment: Experiment, now: float) -> Experiment:
        """The experiment with what is new."""
        state = _state(experiment)
        revision, read = self._ahead
        evidence = self._reader.new(read if revision == experiment.revision else state.read, created=experiment.created)
        self._ahead = experiment.revision, evidence.read  # nothing is written for rewards of other experiments
        half_life = None if isinstance(state.settings.policy, Split) else state.settings.policy.half_life_seconds
        is_old = half_life is not None and now - state.learned > half_life / _ANEW
        if not (evidence.is_some or is_old):
            return experiment
        for rewarded in evidence.rewards:
            if (record := state.records.get(rewarded.arm)) is None:
                state.left_out.unknown_arm += 1
                continue
            record.rewards += 1
            record.total += rewarded.reward
        for missing in evidence.missing:
            if (record := state.records.get(missing.arm)) is not None:
                record.missing += 1
        state.left_out.late += evidence.late
        state.left_out.out_of_range += evidence.out_of_range
        state.read = evidence.read
        if evidence.rewards or evidence.missing or is_old:
            self.learn(state, evidence, now)
            state.learned = now
            self._decide(state)
        return self._written(experiment, state, [])

    def _decide(self, state: ExperimentState) -> None:
        """Brings the layout up to date; only keys that have to move do, where they stay with their arms at all."""
        shares = self.shares(state)
        keeps_keys = self._config.key != "request" or isinstance(state.settings.policy, Split)
        state.layout = moved(state.layout, shares) if keeps_keys else layout_of(shares)

    def _written(self, experiment: Experiment, state: ExperimentState, events: Sequence[Event]) -> Experiment:
        """The experiment in another state; as another server has written it, if that was faster."""
        content = msgspec.to_builtins(state)
        lease = None if events else self._lease
        if self._store.update(experiment, state=content, events=events, lease=lease):
            for event in events:
                facts = {"experiment": experiment.id, **event.facts}
                _log.info("experiment %s: %s changed", experiment.id, event.kind, extra={"facts": facts})
            return replace(experiment, state=content, revision=experiment.revision + 1)
        written = self._store.get(experiment.id)
        assert written is not None, "experiments are never deleted"
        return written

    def _routing(self, experiment: Experiment, now: float) -> ModelRouting:
        state = _state(experiment)
        layout, linear = state.layout, None
        if experiment.status == "running":
            if self._linear[0] != experiment.revision:
                self._linear = experiment.revision, self.linear(state)
            linear = self._linear[1]
        else:
            arm = state.arm if state.arm in state.records else self._config.arms[0].name
            layout = [Interval(arm, 0.0, 1.0)]
        if now - self._requests[0] >= _FACTS_SECONDS:
            self._requests = now, request_counts(self._server.database, experiment.id)
        facts: dict[str, Any] = {
            "kind": experiment.kind,
            "status": experiment.status,
            "reason": experiment.reason,
            "revision": experiment.revision,
            "arms": arm_facts(state, layout, self._requests[1], has_layout=linear is None),
            "left_out": msgspec.to_builtins(state.left_out),
        }
        if state.moments is not None:
            facts["missing_values"], facts["clipped_values"] = state.moments.missing, state.moments.clipped
        return ModelRouting(name=self._name, experiment=experiment.id, layout=layout, linear=linear, facts=facts)

    def _refused(self, problem: str) -> ModelRouting:
        """The control alone, under another id, so that nothing is mixed into the experiment of that name."""
        if not self._is_refused:
            _log.error("%s; the control answers everything", problem)
        self._is_refused = True
        layout = [Interval(self._config.arms[0].name, 0.0, 1.0)]
        facts = {"status": "refused", "reason": problem}
        return ModelRouting(name=self._name, experiment=f"{self._config.name}:refused", layout=layout, facts=facts)


def _state(experiment: Experiment) -> ExperimentState:
    return msgspec.convert(experiment.state, ExperimentState)
