"""Promotion journal of a model: every change of aliases is recorded before it is applied.

MLflow sets one alias at a time and has no compare-and-set. The one atomic operation that it offers on every database
and behind every server is assigning the next number to a new version. So each change is an entry with its own number,
stored as a version of the registered model `NAME.promotions`, and names the entry that it follows. If two entries
follow the same one, the lower number wins and the other is ignored. An entry is written, then applied, then marked as
applied; an entry without the mark, left by a killed process, is applied by the next process that reads the journal.
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
        action: `promote`, `rollback` or `withdraw`.
        alias: Alias that the change is about.
        before: Version that had the alias, None if none had.
        after: Version that gets the alias, None if it is withdrawn.
        changes: All aliases that change: to a version, or None if the alias is removed.
        follows: Number of the entry that this one follows, 0 for the first.
        reason: Why the change was made, or why gates were overruled; None if no reason was recorded.
        gates: Name, bound, value and verdict of each gate.
        who: `user@host` of the writer.
        when: ISO 8601, UTC.
        token: Random token that identifies the writer's own entry.
    """

    action: str
    alias: str
    before: int | None
    after: int | None
    changes: Mapping[str, int | None]
    follows: int
    reason: str | None = None
    gates: Sequence[Mapping[str, Any]] = ()
    who: str = USER_AT_HOST
    when: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    token: str = field(default_factory=lambda: secrets.token_hex(8))


_FIELDS = tuple(entry.name for entry in fields(Entry))


@dataclass(frozen=True)
class JournalState:
    """Valid entries of a journal.

    Attributes:
        entries: Valid entries by number, in order.
        applied: Whether the last entry is marked as applied.
    """

    entries: Mapping[int, Entry]
    applied: bool

    @property
    def last(self) -> int:
        """Number of the last entry, 0 if there is none."""
        return max(self.entries, default=0)

    def champions(self, champion: int | None) -> list[int]:
        """Stack of champions that rollbacks pop from, the current one last.

        Args:
            champion: Version that has the alias now.
        """
        stack: list[int] = []
        for entry in self.entries.values():
            if entry.alias != "champion":
                continue
            if entry.action == "rollback":
                del stack[-1:]
            # Someone may have set the alias in MLflow directly; that version was a champion too.
            if entry.before is not None and entry.action == "promote" and stack[-1:] != [entry.before]:
                stack.append(entry.before)
            if entry.after is not None and stack[-1:] != [entry.after]:
                stack.append(entry.after)
        if champion is not None and stack[-1:] != [champion]:
            stack.append(champion)
        return stack


class Journal:
    """Journal of one model.

    Args:
        store: Store of the registry.
        name: Name of the model.
    """

    def __init__(self, store: MlflowStore, name: str) -> None:
        self.store = store
        self.name = name

    def read(self) -> JournalState:
        """Reads the valid entries."""
        entries: dict[int, Entry] = {}
        last, applied = 0, True
        for number, text, tags in self.store.journal.read(self.name):
            entry = Entry(**{key: value for key, value in json.loads(text).items() if key in _FIELDS})
            if entry.follows == last:
                entries[number], last, applied = entry, number, tags.get(_STATE) in (_APPLIED, _VOID)
        return JournalState(entries, applied)

    def repair(self) -> JournalState:
        """Applies the last entry if its writer was killed before it did.

        Returns:
            The journal, with its last entry applied.
        """
        repaired = None
        while True:
            state = self.read()
            # While we applied an older entry, another process may have applied a newer one: apply the newest again.
            if state.applied and repaired in (None, state.last):
                return state
            self._apply(state.last, state.entries[state.last])
            repaired = state.last

    def write(self, entry: Entry) -> int:
        """Writes an entry and applies it.

        Args:
            entry: The change.

        Returns:
            Number of the entry.

        Raises:
            PromotionConflictError: Another entry was written in the meantime; this one is ignored.
        """
        version = entry.before if entry.after is None else entry.after
        assert version is not None
        tags = {"action": entry.action, "alias": entry.alias, "from": str(entry.before), "to": str(entry.after)}
        self.store.journal.append(
            self.name,
            text=json.dumps(asdict(entry)),
            tags={**tags, "who": entry.who},
            version=version,
            is_first=entry.follows == 0,
        )
        state = self.repair()
        try:
            self.store.journal.describe(self.name)
        except Exception as error:  # the change itself is valid
            _log.warning("%s: its journal cannot be described in MLflow: %s", self.name, error)
        for number, written in state.entries.items():
            if written.token == entry.token:
                return number
        winner = next(other for other in state.entries.values() if other.follows == entry.follows)
        change = "withdrew" if winner.after is None else f"changed {winner.alias} to"
        version = winner.before if winner.after is None else winner.after
        raise PromotionConflictError(
            f"{self.name}: {winner.who} {change} version {version} at {winner.when}, while this "
            "change was being prepared; look at it and try again"
        )

    def _apply(self, number: int, entry: Entry) -> None:
        try:
            self.store.set_aliases(self.name, entry.changes)
        except UsageError as error:  # the version was deleted in the meantime, so the entry can never be applied
            _log.warning("%s: entry %s of the journal is void: %s", self.name, number, error)
            self.store.journal.mark(self.name, number, key=_STATE, value=_VOID)
        else:
            self.store.journal.mark(self.name, number, key=_STATE, value=_APPLIED)
