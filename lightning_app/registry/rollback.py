"""The champion before the present one becomes champion again."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lightning_app.errors import UsageError
from lightning_app.registry.cache import Cache, Snapshot
from lightning_app.registry.journal import Entry, Journal

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


def roll_back(journal: Journal, *, reason: str | None) -> Rollback:
    """Writes the change into the journal.

    Args:
        journal: Of the model.
        reason: Why.

    Raises:
        UsageError: There was no champion before.
        PromotionConflictError: Another change was written meanwhile.
    """
    state = journal.repair()
    champions = state.champions(journal.store.aliases(journal.name).get("champion"))
    before, after, earlier = _last_three(journal.name, champions)
    changes = {"previous": earlier, "champion": after}
    journal.write(
        Entry(
            action="rollback",
            alias="champion",
            before=before,
            after=after,
            changes=changes,
            follows=state.last,
            reason=reason,
        )
    )
    return Rollback(journal.name, before, after, told=True)


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
    before, after, earlier = _last_three(name, snapshot.champions)
    if cache.package(snapshot.digests.get(after, "")) is None:
        raise UsageError(
            f"name: the registry does not answer, and {name}@{after} is not in the local cache; only versions that "
            "were resolved here can be taken back without the registry"
        )
    aliases = {**snapshot.aliases, "champion": after}
    aliases.pop("previous", None)
    if earlier is not None:
        aliases["previous"] = earlier
    cache.remember(
        name,
        replace(
            snapshot,
            aliases=aliases,
            champions=list(snapshot.champions)[:-1],
            rolled_back=[*snapshot.rolled_back, before],
            reason=reason,
        ),
    )
    return Rollback(name, before, after, told=False)


def tell_rollbacks(journal: Journal, snapshot: Snapshot) -> None:
    """Tells the registry of rollbacks that it did not hear of; not where its champion is another one by now.

    Args:
        journal: Of the model.
        snapshot: What this machine did.
    """
    for before in snapshot.rolled_back:
        champion = journal.store.aliases(journal.name).get("champion")
        if champion != before:
            _log.warning(
                "%s: version %s was rolled back on this machine while the registry did not answer; its champion is "
                "%s by now, and stays",
                journal.name, before, champion,
            )  # fmt: skip
            return
        roll_back(journal, reason=snapshot.reason)


def _last_three(name: str, champions: Sequence[int]) -> tuple[int, int, int | None]:
    if len(champions) < 2:
        raise UsageError(f"name: {name} has no champion before the present one to go back to")
    return champions[-1], champions[-2], champions[-3] if len(champions) > 2 else None
