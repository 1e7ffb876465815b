"""Rollback: the previous champion becomes champion again, also while the registry is unreachable."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lightning_app.errors import UsageError
from lightning_app.registry.promotion.journal import Entry, Journal
from lightning_app.registry.storage.cache import Cache, Snapshot

_log = logging.getLogger("lightning_app.registry")


@dataclass(frozen=True)
class Rollback:
    """Outcome of a rollback.

    Attributes:
        name: Name of the model.
        before: Version that was champion.
        after: Version that is champion now.
        synced: Whether the registry has the change; if not, it is synced when the registry answers again.
    """

    name: str
    before: int
    after: int
    synced: bool


def roll_back(journal: Journal, snapshot: Snapshot, *, reason: str | None) -> tuple[Rollback, Snapshot]:
    """Writes a rollback to the journal.

    Args:
        journal: Journal of the model.
        snapshot: State of the model.
        reason: Why the champion is rolled back.

    Returns:
        rollback: The outcome.
        snapshot: State of the model afterwards.

    Raises:
        UsageError: There was no champion before.
        PromotionConflictError: Another change was written in the meantime.
    """
    before, after, earlier = _last_three(journal.name, snapshot.champions)
    number = journal.write(
        Entry(
            action="rollback",
            alias="champion",
            before=before,
            after=after,
            changes={"previous": earlier, "champion": after},
            follows=snapshot.last,
            reason=reason,
        )
    )
    return Rollback(journal.name, before, after, synced=True), replace(_without_champion(snapshot), last=number)


def roll_back_locally(cache: Cache, name: str, snapshot: Snapshot, *, reason: str | None) -> Rollback:
    """Rolls back on this machine only, while the registry does not answer.

    Args:
        cache: Local copy of the registry.
        name: Name of the model.
        snapshot: Last known state of the model.
        reason: Why the champion is rolled back.

    Raises:
        UsageError: No previous champion is known, or its package is not cached.
    """
    before, after, _ = _last_three(name, snapshot.champions)
    if cache.package(snapshot.digests.get(after, "")) is None:
        raise UsageError(
            f"name: the registry does not answer, and {name}@{after} is not in the local cache; only versions that "
            "were resolved here can be taken back without the registry"
        )
    rolled_back = [*snapshot.rolled_back, before]
    cache.remember(name, replace(_without_champion(snapshot), rolled_back=rolled_back, reason=reason))
    return Rollback(name, before, after, synced=False)


def sync_rollbacks(journal: Journal, local: Snapshot, remote: Snapshot) -> Snapshot:
    """Writes local rollbacks to the registry, unless its champion has changed in the meantime.

    Args:
        journal: Journal of the model.
        local: State on this machine.
        remote: State in the registry.

    Returns:
        State in the registry afterwards.
    """
    champion, pending = remote.aliases.get("champion"), list(local.rolled_back)
    if champion not in pending:
        _log.warning(
            "%s: version %s was rolled back on this machine while the registry did not answer; its champion is "
            "%s by now, and stays",
            journal.name, pending[0], champion,
        )  # fmt: skip
        return remote
    for _ in pending[pending.index(champion) :]:  # a process that was killed may have synced the ones before
        _, remote = roll_back(journal, remote, reason=local.reason)
    return remote


def _without_champion(snapshot: Snapshot) -> Snapshot:
    """State after the previous champion has become champion again."""
    champions = list(snapshot.champions)[:-1]
    aliases = {**snapshot.aliases, "champion": champions[-1]}
    aliases.pop("previous", None)
    if len(champions) > 1:
        aliases["previous"] = champions[-2]
    return replace(snapshot, aliases=aliases, champions=champions)


def _last_three(name: str, champions: Sequence[int]) -> tuple[int, int, int | None]:
    if len(champions) < 2:
        raise UsageError(f"name: {name} has no champion before the present one to go back to")
    return champions[-1], champions[-2], champions[-3] if len(champions) > 2 else None
