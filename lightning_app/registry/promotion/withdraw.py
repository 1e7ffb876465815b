"""Withdrawal: a version loses the alias challenger or shadow."""

from dataclasses import dataclass

from lightning_app.errors import UsageError
from lightning_app.registry.promotion.journal import Entry, Journal
from lightning_app.registry.storage.cache import Snapshot
from lightning_app.registry.storage.reference import WITHDRAWABLE, ModelReference


@dataclass(frozen=True)
class Withdrawal:
    """Outcome of a withdrawal.

    Attributes:
        name: Name of the model.
        version: Version that was to lose the alias, None if no version had it.
        alias: The alias.
        withdrawn: Whether the version had it.
    """

    name: str
    version: int | None
    alias: str
    withdrawn: bool


def withdraw_version(
    journal: Journal, snapshot: Snapshot, *, reference: ModelReference, alias: str, reason: str | None
) -> Withdrawal:
    """Writes the removal of an alias to the journal.

    Args:
        journal: Journal of the model.
        snapshot: State of the model.
        reference: Version that has the alias.
        alias: The alias.
        reason: Why it is withdrawn.

    Raises:
        UsageError: There is no such version, another version has the alias, or the alias cannot be withdrawn.
        PromotionConflictError: Another change was written in the meantime.
    """
    if alias == "champion":
        raise UsageError(f"alias: a champion is not withdrawn; promote another version, or: rollback {reference.name}")
    if alias not in WITHDRAWABLE:
        raise UsageError(f"alias: {alias!r} given, allowed: {', '.join(WITHDRAWABLE)}")
    version = snapshot.aliases.get(reference.alias) if reference.alias is not None else reference.version
    holder = snapshot.aliases.get(alias)
    if reference.alias is None and version not in snapshot.digests:
        raise UsageError(f"model: {reference} given, there is no such version")
    if holder is None:
        return Withdrawal(journal.name, version, alias, withdrawn=False)
    if version != holder:
        raise UsageError(f"model: {reference} given, but {alias} is {journal.name}@{holder}")
    journal.write(
        Entry(
            action="withdraw",
            alias=alias,
            before=holder,
            after=None,
            changes={alias: None},
            follows=snapshot.last,
            reason=reason,
        )
    )
    return Withdrawal(journal.name, holder, alias, withdrawn=True)
