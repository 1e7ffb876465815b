"""The champion before the present one becomes champion again."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lightning_app.errors import UsageError
from lightning_app.registry.promotion.journal import Entry, Journal
from lightning_app.registry.storage.cache import Cache, Snapshot

_log = logging.getLogger("lightning_app.registry")


@dataclass(frozen=True)
class Rollback:
    """What was done.

    Attributes:
        name: Name of the model.
        before: Version that was champion.
        after: Version that is champion now.
        told: Whether the registry knows; else it is told when it answers again.
    """

    name: str
    before: int
    after: int
    told: bool


def roll_back(journal: Journal, snapshot: Snapshot, *, reason: str | None) -> tuple[Rollback, Snapshot]:
    """Writes the change into the journal.

    Args:
        journal: Of the model.
        snapshot: What the registry says.
        reason: Why.

    Returns:
        done: What was done.
        snapshot: What the registry says now.

    Raises:
        UsageError: There was no champion before.
        PromotionConflictError: Another change was written meanwhile.
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
    return Rollback(journal.name, before, after, told=True), replace(_without_champion(snapshot), last=number)


def roll_back_here(cache: Cache, name: str, snapshot: Snapshot, *, reason: str | None) -> Rollback:
    """Changes what this machine takes for the champion while the registry does not answer.

    Args:
        cache: Where that is kept.
        name: Name of the model.
        snapshot: What is known.
        reason: Why.

    Raises:
        UsageError: No champion before is known, or its package is not here.
    """
    before, after, _ = _last_three(name, snapshot.champions)
    if cache.package(snapshot.digests.get(after, "")) is None:
        raise UsageError(
            f"name: the registry does not answer, and {name}@{after} is not in the local cache; only versions that "
            "were resolved here can be taken back without the registry"
        )
    rolled_back = [*snapshot.rolled_back, before]
    cache.remember(name, replace(_without_champion(snapshot), rolled_back=rolled_back, reason=reason))
    return Rollback(name, before, after, told=False)


def tell_rollbacks(journal: Journal, here: Snapshot, there: Snapshot) -> Snapshot:
    """Tells the registry of rollbacks that it did not hear of; not where its champion is another one by now.

    Args:
        journal: Of the model.
        here: What this machine did.
        there: What the registry says.

    Returns:
        What the registry says now.
    """
    champion, left = there.aliases.get("champion"), list(here.rolled_back)
    if champion not in left:
        _log.warning(
            "%s: version %s was rolled back on this machine while the registry did not answer; its champion is "
            "%s by now, and stays",
            journal.name, left[0], champion,
        )  # fmt: skip
        return there
    for _ in left[left.index(champion) :]:  # who told the ones before it was killed on the way
        _, there = roll_back(journal, there, reason=here.reason)
    return there


def _without_champion(snapshot: Snapshot) -> Snapshot:
    """As it is once the champion before is champion again."""
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
