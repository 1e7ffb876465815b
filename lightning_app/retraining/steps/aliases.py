"""Aliases of a cycle's version: changes that are made once, and what others did with them.

Every change names the cycle in its reason. A tick that was killed after the change finds it in the history, and does
not make it again, even if a person has changed the aliases again in the meantime.
"""

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from lightning_app.retraining.cycles import Cycle
from lightning_app.retraining.steps.context import Context

if TYPE_CHECKING:
    from lightning_app.registry import Registry


class Fate(Struct, frozen=True, kw_only=True):
    """What the history of the registry says of a version.

    Attributes:
        kind: `none` if it never had an alias; `held` if it is shadow or challenger; `champion`; `rolled_back` if it was
            champion; `withdrawn`; `superseded` if another version has its alias.
        words: Who did it and why.
        alias: Alias that it had last.
        entry: Number of the entry.
    """

    kind: Literal["none", "held", "champion", "rolled_back", "withdrawn", "superseded"]
    words: str = ""
    alias: str | None = None
    entry: int = 0


def fate_of(registry: "Registry", model: str, version: int) -> Fate:
    """What happened to a version, from the history of its model.

    Args:
        registry: The registry.
        model: Name of the model.
        version: The version.
    """
    fate = Fate(kind="none")
    for number, entry in registry.history(model).entries.items():
        words = f"{entry.who}: {entry.reason}" if entry.reason else entry.who
        if entry.action == "promote" and entry.after == version:
            kind: Literal["champion", "held"] = "champion" if entry.alias == "champion" else "held"
            fate = Fate(kind=kind, words=words, alias=entry.alias, entry=number)
        elif entry.action == "rollback" and entry.before == version:
            fate = Fate(kind="rolled_back", words=words, alias="champion", entry=number)
        elif entry.action == "rollback" and entry.after == version:
            fate = Fate(kind="champion", words=words, alias="champion", entry=number)
        elif entry.action == "withdraw" and entry.before == version and entry.alias == fate.alias:
            fate = Fate(kind="withdrawn", words=words, alias=entry.alias, entry=number)
        elif entry.action == "promote" and entry.before == version and entry.alias == fate.alias:
            fate = Fate(kind="superseded", words=f"by version {entry.after}, {words}", alias=entry.alias, entry=number)
    return fate


def was_done(registry: "Registry", cycle: Cycle, *, alias: str) -> bool:
    """Whether this cycle has given its version an alias already.

    Args:
        registry: The registry.
        cycle: The cycle.
        alias: The alias.
    """
    return any(
        entry.action == "promote" and entry.alias == alias and (entry.reason or "").startswith(f"{cycle.cycle_id}: ")
        for entry in registry.history(cycle.model).entries.values()
    )


def aliases_of(registry: "Registry", model: str) -> dict[str, int]:
    """Versions by alias.

    Args:
        registry: The registry.
        model: Name of the model.
    """
    return {alias: version.record.number for version in registry.versions(model) for alias in version.aliases}


def moved(context: Context, cycle: Cycle) -> str | None:
    """Why a cycle makes no sense any more: the champion is another one by now; None if it does.

    Args:
        context: Of the tick.
        cycle: The cycle.
    """
    before = cycle.spec["champion"]
    try:
        now = aliases_of(context.registry, cycle.model).get("champion")
    except ValueError:  # there is no such model yet
        now = None
    if now == before or (now is not None and now == cycle.facts.get("version")):
        return None
    theirs = "there was none" if before is None else f"it was version {before}"
    ours = "there is none" if now is None else f"version {now} is"
    return f"the champion has changed meanwhile: {ours} champion by now, {theirs} when the cycle began"


def let_go(context: Context, cycle: Cycle, reason: str) -> None:
    """Takes the alias shadow or challenger from the version of a cycle that ends.

    Args:
        context: Of the tick.
        cycle: The cycle.
        reason: Why; recorded.
    """
    version = cycle.facts.get("version")
    if version is None:
        return
    for alias, number in aliases_of(context.registry, cycle.model).items():
        if number == version and alias in ("shadow", "challenger"):
            name = f"{cycle.model}@{version}"
            context.registry.withdraw(name, alias=alias, reason=f"{cycle.cycle_id}: {reason}")
