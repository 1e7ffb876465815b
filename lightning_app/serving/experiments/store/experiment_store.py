"""ExperimentStore: what experiments are, how far they are, and what happened to them."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from lightning_app.serving.experiments.store.lease import Lease
from lightning_app.serving.journal.stores.database import JournalDatabase

Status = Literal["running", "promoted", "rolled_back", "stopped", "expired"]
_COLUMNS = "id, model, kind, status, spec, state, revision, created, updated, ended, reason"


class CanaryRunningError(ValueError):
    """Another canary of the model is running."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to an experiment.

    Attributes:
        kind: What happened, e.g. `step`.
        facts: More about it, as JSON can hold it.
        time: When, Unix seconds by the clock of the database; None of one that is to be written.
    """

    kind: str
    facts: dict[str, Any]
    time: float | None = None


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment as it is in the database.

    Attributes:
        id: Its id, never used again.
        model: Name of the model in addresses.
        kind: `split`, `thompson`, `linear` or `canary`.
        status: Whether it runs, or how it ended.
        spec: What it was started with, as JSON can hold it.
        state: How far it is, as JSON can hold it.
        revision: Grows by one with each change.
        created: When it began, Unix seconds by the clock of the database.
        updated: When it was changed last.
        ended: When it ended; None while it runs.
        reason: Why it ended.
    """

    id: str
    model: str
    kind: str
    status: Status
    spec: dict[str, Any]
    state: dict[str, Any]
    revision: int
    created: float
    updated: float
    ended: float | None
    reason: str | None


Experiments: TypeAlias = list[Experiment]


class ExperimentStore:
    """Experiments of all models; an experiment that has ended is never changed.

    Args:
        database: Database of the journal.
    """

    def __init__(self, database: JournalDatabase) -> None:
        self._database = database
        self._table, self._events = database.table("experiments"), database.table("experiment_events")

    def create(
        self, experiment: str, *, model: str, kind: str, spec: Mapping[str, Any], state: Mapping[str, Any]
    ) -> bool:
        """Starts an experiment.

        Args:
            experiment: Id of the experiment.
            model: Name of the model.
            kind: Its kind.
            spec: What it is started with, as JSON can hold it.
            state: Its first state.

        Returns:
            Whether it was started; an experiment with this id that is there already stays as it is.

        Raises:
            CanaryRunningError: It is a canary, and another canary of the model is running.
            JournalError: The journal cannot be written.
        """
        with self._database.transaction():
            now = self._database.now()
            rows = self._database.execute(
                f"INSERT INTO {self._table} ({_COLUMNS}) VALUES (?, ?, ?, 'running', ?, ?, 1, ?, ?, NULL, NULL) "
                "ON CONFLICT DO NOTHING RETURNING id",
                (experiment, model, kind, _text(spec), _text(state), now, now),
            )
            if rows:
                self._add_events(experiment, [Event(kind="created", facts={})], now)
                return True
        if self.get(experiment) is None:
            raise CanaryRunningError(f"experiment: {experiment!r}: another canary of model {model!r} is running")
        return False

    def get(self, experiment: str) -> Experiment | None:
        """An experiment; None if there is none with this id.

        Args:
            experiment: Id of the experiment.

        Raises:
            JournalError: The journal cannot be read.
        """
        return next(iter(self._select("WHERE id = ?", experiment)), None)

    def running(self, model: str) -> Experiments:
        """Experiments of a model that run, oldest first.

        Args:
            model: Name of the model.

        Raises:
            JournalError: The journal cannot be read.
        """
        return self._select("WHERE status = 'running' AND model = ?", model)

    def list(self) -> Experiments:
        """All experiments, oldest first.

        Raises:
            JournalError: The journal cannot be read.
        """
        return self._select("")

    def update(
        self,
        experiment: Experiment,
        *,
        state: Mapping[str, Any],
        status: Status = "running",
        reason: str | None = None,
        events: Sequence[Event] = (),
        lease: Lease | None = None,
    ) -> bool:
        """Changes an experiment that runs, if nobody has changed it since it was read.

        Args:
            experiment: The experiment as it was read.
            state: Its new state.
            status: `running`, or how it ended.
            reason: Why it ended.
            events: What happened; written together with the state.
            lease: Lease that the caller must hold.

        Returns:
            Whether it was changed: false if it has ended, has another revision, or another holds the lease.

        Raises:
            JournalError: The journal cannot be written.
        """
        with self._database.transaction():
            if lease is not None and not lease.confirm():
                return False
            now = self._database.now()
            rows = self._database.execute(
                f"UPDATE {self._table} SET state = ?, status = ?, reason = ?, updated = ?, ended = ?, "
                "revision = revision + 1 WHERE id = ? AND revision = ? AND status = 'running' RETURNING id",
                (
                    _text(state), status, reason, now, None if status == "running" else now, experiment.id,
                    experiment.revision,
                ),
            )  # fmt: skip
            if rows:
                self._add_events(experiment.id, events, now)
        return bool(rows)

    def events(self, experiment: str) -> Sequence[Event]:
        """What happened to an experiment, oldest first.

        Args:
            experiment: Id of the experiment.

        Raises:
            JournalError: The journal cannot be read.
        """
        query = f"SELECT kind, facts, time FROM {self._events} WHERE experiment = ? ORDER BY number"
        rows = self._database.execute(query, (experiment,))
        return [Event(kind=kind, facts=msgspec.json.decode(facts), time=time) for kind, facts, time in rows]

    def _add_events(self, experiment: str, events: Sequence[Event], now: float) -> None:
        self._database.execute_many(
            f"INSERT INTO {self._events} (experiment, time, kind, facts) VALUES (?, ?, ?, ?)",
            [(experiment, now, event.kind, _text(event.facts)) for event in events],
        )

    def _select(self, where: str, *values: str) -> Experiments:
        rows = self._database.execute(f"SELECT {_COLUMNS} FROM {self._table} {where} ORDER BY created, id", values)
        return [_experiment(row) for row in rows]


def _experiment(row: Sequence[Any]) -> Experiment:
    values = dict(zip(Experiment.__struct_fields__, row, strict=True))
    for name in ("spec", "state"):
        values[name] = msgspec.json.decode(values[name])
    return Experiment(**values)


def _text(content: Mapping[str, Any]) -> str:
    return msgspec.json.encode(content).decode()
