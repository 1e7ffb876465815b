"""CycleStore: the cycles of all models in the database of a journal."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from lightning_app.retraining.cycles.cycle import ENDS, Cycle, CycleEvent, State
from lightning_app.retraining.cycles.tick_lease import TickLease
from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.journal.stores.own_tables import own_tables, own_tables_version

_PART, _VERSION = "retraining", 1
_TABLES = """
CREATE TABLE {prefix}retraining_cycles (
  cycle_id text PRIMARY KEY, model text NOT NULL, state text NOT NULL, attempt int8 NOT NULL, fence int8 NOT NULL,
  spec text NOT NULL, facts text NOT NULL, created float8 NOT NULL, entered float8 NOT NULL, updated float8 NOT NULL,
  ended float8, reason text
);
CREATE UNIQUE INDEX {prefix}retraining_cycles_live ON {prefix}retraining_cycles (model) WHERE ended IS NULL;
CREATE TABLE {prefix}retraining_events (
  number {number}, model text NOT NULL, cycle_id text, time float8 NOT NULL, kind text NOT NULL, facts text NOT NULL
);
CREATE INDEX {prefix}retraining_events_model ON {prefix}retraining_events (model, number);
"""
_CLOCK_SECONDS = 60.0
"""By how much clocks may differ before times of the future are taken for those of a clock that was set back."""


class CycleStore:
    """Cycles and their events; a cycle that has ended is never changed.

    Args:
        database: Database of the journal.

    Attributes:
        database: The same.
    """

    def __init__(self, database: JournalDatabase) -> None:
        self.database = database
        self._cycles, self._events = database.table("retraining_cycles"), database.table("retraining_events")
        self._is_made = False

    def make(self) -> None:
        """Makes the tables if they do not exist.

        Raises:
            ValueError: They are of a newer version.
            JournalError: The journal cannot be written.
        """
        own_tables(self.database, _PART, _VERSION, _TABLES)
        self._is_made = True

    def create(
        self, cycle_id: str, *, model: str, spec: Mapping[str, Any], lease: TickLease, now: float, words: str
    ) -> bool:
        """Begins a cycle.

        Args:
            cycle_id: Its id.
            model: Name of the model.
            spec: What it is begun with, as JSON can hold it.
            lease: TickLease that the caller must hold.
            now: Unix seconds.
            words: Why it begins.

        Returns:
            Whether it was begun: false if there is one with this id, the model has a live one, or another holds the
            lease.

        Raises:
            JournalError: The journal cannot be written.
        """
        with self.database.transaction():
            if not lease.confirm():
                return False
            rows = self.database.execute(
                f"INSERT INTO {self._cycles} ({_COLUMNS}) VALUES (?, ?, 'triggered', 1, ?, ?, '{{}}', ?, ?, ?, NULL, "
                "NULL) ON CONFLICT DO NOTHING RETURNING cycle_id",
                (cycle_id, model, lease.fence, _text(spec), now, now, now),
            )
            if rows:
                self._add_event(model, cycle_id, "triggered", {"words": words}, now)
        return bool(rows)

    def change(
        self,
        cycle: Cycle,
        *,
        lease: TickLease,
        now: float,
        state: State | None = None,
        facts: Mapping[str, Any] | None = None,
        attempt: int | None = None,
        reason: str | None = None,
        kind: str | None = None,
        words: str | None = None,
    ) -> Cycle | None:
        """Changes a live cycle, if nobody has changed it since it was read; with an event if there are words.

        Args:
            cycle: The cycle as it was read.
            lease: TickLease that the caller must hold.
            now: Unix seconds.
            state: New state; None leaves it.
            facts: Facts that are added or replaced.
            attempt: New attempt; None leaves it.
            reason: Why it ended.
            kind: Kind of the event; None takes the state.
            words: What happened.

        Returns:
            The changed cycle; None if it has ended, has another state or fence, or another holds the lease.

        Raises:
            JournalError: The journal cannot be written.
        """
        after = state or cycle.state
        changed = msgspec.structs.replace(
            cycle,
            state=after,
            attempt=attempt or cycle.attempt,
            fence=lease.fence,
            facts={**cycle.facts, **(facts or {})},
            entered=now if after != cycle.state else cycle.entered,
            updated=now,
            ended=now if after in ENDS else None,
            reason=reason,
        )
        with self.database.transaction():
            if not lease.confirm():
                return None
            rows = self.database.execute(
                f"UPDATE {self._cycles} SET state = ?, attempt = ?, fence = ?, facts = ?, entered = ?, updated = ?, "
                "ended = ?, reason = ? WHERE cycle_id = ? AND state = ? AND fence = ? AND ended IS NULL "
                "RETURNING cycle_id",
                (
                    changed.state, changed.attempt, changed.fence, _text(changed.facts), changed.entered, now,
                    changed.ended, reason, cycle.cycle_id, cycle.state, cycle.fence,
                ),
            )  # fmt: skip
            if not rows:
                return None
            if words is not None:
                self._add_event(cycle.model, cycle.cycle_id, kind or after, {"words": words}, now)
        return changed

    def note(
        self, model: str, kind: str, facts: Mapping[str, Any], *, now: float, cycle_id: str | None = None
    ) -> CycleEvent:
        """Writes an event that changes no cycle, e.g. an approval.

        Args:
            model: Name of the model.
            kind: Its kind.
            facts: More about it, as JSON can hold it.
            now: Unix seconds.
            cycle_id: The cycle that it is about; None if it is about the model.

        Raises:
            JournalError: The journal cannot be written.
        """
        with self.database.transaction():
            number = self._add_event(model, cycle_id, kind, facts, now)
        return CycleEvent(number=number, model=model, cycle_id=cycle_id, time=now, kind=kind, facts=dict(facts))

    def set_clock_back(self, model: str, *, now: float) -> float:
        """Replaces times that lie in the future, because the clock was set back, by the present one.

        Waits would otherwise last longer by as much as the clock was wrong.

        Args:
            model: Name of the model.
            now: Unix seconds.

        Returns:
            By how many seconds the clock was set back; 0 if it was not.

        Raises:
            JournalError: The journal cannot be written.
        """
        newest = f"SELECT coalesce(max(updated), 0) FROM {self._cycles} WHERE model = ?"
        ((ahead,),) = self.database.execute(newest, (model,))
        if ahead <= now + _CLOCK_SECONDS:
            return 0.0
        with self.database.transaction():
            for name in ("created", "entered", "updated", "ended"):
                self.database.execute(
                    f"UPDATE {self._cycles} SET {name} = ? WHERE model = ? AND {name} > ?", (now, model, now)
                )
            self.database.execute(f"UPDATE {self._events} SET time = ? WHERE model = ? AND time > ?", (now, model, now))
            self._add_event(model, None, "clock", {"words": f"the clock was set back by {ahead - now:.0f} s"}, now)
        return float(ahead - now)

    def live(self, model: str) -> Cycle | None:
        """The live cycle of a model; None without one.

        Args:
            model: Name of the model.

        Raises:
            JournalError: The journal cannot be read.
        """
        return next(iter(self._select("WHERE model = ? AND ended IS NULL", model)), None)

    def get(self, cycle_id: str) -> Cycle | None:
        """A cycle; None if there is none with this id.

        Args:
            cycle_id: Its id.

        Raises:
            JournalError: The journal cannot be read.
        """
        return next(iter(self._select("WHERE cycle_id = ?", cycle_id)), None)

    def cycles(self, model: str) -> list[Cycle]:
        """Cycles of a model, oldest first.

        Args:
            model: Name of the model.

        Raises:
            JournalError: The journal cannot be read.
        """
        return self._select("WHERE model = ?", model)

    def events(self, model: str) -> list[CycleEvent]:
        """Events of a model and its cycles, oldest first.

        Args:
            model: Name of the model.

        Raises:
            JournalError: The journal cannot be read.
        """
        if not self._exists():
            return []
        rows = self.database.execute(
            f"SELECT number, model, cycle_id, time, kind, facts FROM {self._events} WHERE model = ? ORDER BY number",
            (model,),
        )
        return [
            CycleEvent(number=number, model=of, cycle_id=cycle, time=time, kind=kind, facts=msgspec.json.decode(facts))
            for number, of, cycle, time, kind, facts in rows
        ]

    def _add_event(self, model: str, cycle_id: str | None, kind: str, facts: Mapping[str, Any], now: float) -> int:
        ((number,),) = self.database.execute(
            f"INSERT INTO {self._events} (model, cycle_id, time, kind, facts) VALUES (?, ?, ?, ?, ?) RETURNING number",
            (model, cycle_id, now, kind, _text(facts)),
        )
        return int(number)

    def _select(self, where: str, value: str) -> list[Cycle]:
        if not self._exists():
            return []
        rows = self.database.execute(
            f"SELECT {_COLUMNS} FROM {self._cycles} {where} ORDER BY created, entered", (value,)
        )
        return [_cycle(row) for row in rows]

    def _exists(self) -> bool:
        self._is_made = self._is_made or own_tables_version(self.database, _PART, _VERSION) is not None
        return self._is_made


_COLUMNS = ", ".join(Cycle.__struct_fields__)


def _cycle(row: Sequence[Any]) -> Cycle:
    values = dict(zip(Cycle.__struct_fields__, row, strict=True))
    for name in ("spec", "facts"):
        values[name] = msgspec.json.decode(values[name])
    return Cycle(**values)


def _text(content: Mapping[str, Any]) -> str:
    return msgspec.json.encode(content).decode()
