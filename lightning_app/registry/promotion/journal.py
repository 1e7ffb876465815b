"""The journal of a model's promotions: what was to change is written down before it is changed.

MLflow sets one alias at a time and knows no compare-and-set. What it does in one step, on every database and behind
every server, is to give a new version the next number. So each change is an entry with a number of its own, in a
registered model `NAME.promotions`, and says which entry it follows. Of two that follow the same one, that with the
lower number holds; the other never was. An entry is applied after it was written, and marked when it is; one that is
found without the mark, because its writer was killed, is applied by whoever comes next.
"""

import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from lightning_app.errors import UsageError
from lightning_app.identity import USER_AT_HOST
from lightning_app.registry.storage.errors import PromotionConflictError
from lightning_app.registry.storage.store import MlflowStore

_log = logging.getLogger("lightning_app.registry")
_STATE, _APPLIED, _VOID = "promotion.state", "applied", "void"


@dataclass(frozen=True)
class Entry:
    """One change of aliases.

    Attributes:
        action: `promote` or `rollback`.
        alias: The alias that was meant.
        before: Version that had the alias, None if none had.
        after: Version that has it now.
        changes: All aliases that change: to a version, or None where one is taken away.
        follows: Number of the entry that this one follows, 0 for the first.
        reason: Why gates were overruled, or why it was rolled back; None if nobody said.
        gates: Name, bound, value and verdict of each gate.
        who: User and machine.
        when: ISO 8601, UTC.
        token: Tells the entries of one number apart.
    """

    action: str
    alias: str
    before: int | None
    after: int
    changes: Mapping[str, int | None]
    follows: int
    reason: str | None = None
    gates: Sequence[Mapping[str, Any]] = ()
    who: str = USER_AT_HOST
    when: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    token: str = field(default_factory=lambda: secrets.token_hex(8))


_FIELDS = tuple(entry.name for entry in fields(Entry))


@dataclass(frozen=True)
class State:
    """What the journal comes to.

    Attributes:
        entries: By number, those that hold, in order.
        applied: Whether the last one is marked as applied.
    """

    entries: Mapping[int, Entry]
    applied: bool

    @property
    def last(self) -> int:
        """Number of the last entry, 0 if there is none."""
        return max(self.entries, default=0)

    def champions(self, champion: int | None) -> list[int]:
        """Champions that a rollback goes back through, the present one last.

        Args:
            champion: The version that has the alias now.
        """
        stack: list[int] = []
        for entry in self.entries.values():
            if entry.alias != "champion":
                continue
            if entry.action == "rollback":
                del stack[-1:]
            # What somebody set without us is a champion too.
            if entry.before is not None and entry.action == "promote" and stack[-1:] != [entry.before]:
                stack.append(entry.before)
            if stack[-1:] != [entry.after]:
                stack.append(entry.after)
        if champion is not None and stack[-1:] != [champion]:
            stack.append(champion)
        return stack


class Journal:
    """The journal of one model.

    Args:
        store: Where it is kept.
        name: Name of the model.
    """

    def __init__(self, store: MlflowStore, name: str) -> None:
        self.store = store
        self.name = name

    def read(self) -> State:
        """The entries that hold."""
        entries: dict[int, Entry] = {}
        last, applied = 0, True
        for number, text, tags in self.store.entries(self.name):
            entry = Entry(**{key: value for key, value in json.loads(text).items() if key in _FIELDS})
            if entry.follows == last:
                entries[number], last, applied = entry, number, tags.get(_STATE) in (_APPLIED, _VOID)
        return State(entries, applied)

    def repair(self) -> State:
        """Ends a change whose writer was killed.

        Returns:
            The journal, with its last entry applied.
        """
        ended = None
        while True:
            state = self.read()
            # An older entry that we were ending may have come after a newer one that somebody else applied.
            if state.applied and ended in (None, state.last):
                return state
            self._apply(state.last, state.entries[state.last])
            ended = state.last

    def write(self, entry: Entry) -> int:
        """Writes an entry and applies it.

        Args:
            entry: The change.

        Returns:
            Number of the entry.

        Raises:
            PromotionConflictError: Another entry was written meanwhile; this one does not hold.
        """
        tags = {"action": entry.action, "alias": entry.alias, "from": str(entry.before), "to": str(entry.after)}
        self.store.append_entry(
            self.name,
            text=json.dumps(asdict(entry)),
            tags={**tags, "who": entry.who},
            version=entry.after,
            is_first=entry.follows == 0,
        )
        state = self.repair()
        try:
            self.store.describe_journal(self.name)
        except Exception as error:  # the change holds
            _log.warning("%s: its journal cannot be described in MLflow: %s", self.name, error)
        for number, written in state.entries.items():
            if written.token == entry.token:
                return number
        winner = next(other for other in state.entries.values() if other.follows == entry.follows)
        raise PromotionConflictError(
            f"{self.name}: {winner.who} changed {winner.alias} to version {winner.after} at {winner.when}, while this "
            "change was being prepared; look at it and try again"
        )

    def _apply(self, number: int, entry: Entry) -> None:
        try:
            self.store.set_aliases(self.name, entry.changes)
        except UsageError as error:  # somebody deleted the version meanwhile: it can never be applied
            _log.warning("%s: entry %s of the journal is void: %s", self.name, number, error)
            self.store.mark_entry(self.name, number, key=_STATE, value=_VOID)
        else:
            self.store.mark_entry(self.name, number, key=_STATE, value=_APPLIED)
