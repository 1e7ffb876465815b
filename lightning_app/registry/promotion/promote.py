"""Promotion: a version gets the alias champion, challenger or shadow if it passes its gates."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from lightning_app.errors import UsageError
from lightning_app.registry.promotion.comparison import Candidate
from lightning_app.registry.promotion.gate_file import GateFile
from lightning_app.registry.promotion.gates import Verdict, check_gates
from lightning_app.registry.promotion.journal import Entry, Journal
from lightning_app.registry.storage.cache import Snapshot
from lightning_app.registry.storage.errors import PromotionRefusedError
from lightning_app.registry.storage.reference import PROMOTABLE, ModelReference


@dataclass(frozen=True)
class Promotion:
    """Outcome of a promotion.

    Attributes:
        name: Name of the model.
        version: Version to promote.
        alias: Alias that it was to get.
        before: Version that had the alias, None if none had.
        verdicts: Verdicts of the gates; empty if the version had the alias already.
        promoted: Whether the version has the alias now.
        forced: Whether a gate was overruled.
        lost: Aliases that the version lost by the promotion.
    """

    name: str
    version: int
    alias: str
    before: int | None
    verdicts: Sequence[Verdict]
    promoted: bool
    forced: bool
    lost: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises unless the version has the alias now.

        Raises:
            PromotionRefusedError: With the names of the failed gates.
        """
        if not self.promoted:
            failed = [f"{verdict.gate} ({verdict.value})" for verdict in self.verdicts if not verdict.passed]
            raise PromotionRefusedError(
                f"{self.name}@{self.version} does not become {self.alias}: {len(failed)} of {len(self.verdicts)} gates "
                f"refuse it: {'; '.join(failed)}"
            )


def promote_version(
    journal: Journal,
    snapshot: Snapshot,
    fetch: Callable[[int], Candidate],
    *,
    reference: ModelReference,
    to: str,
    gates: GateFile,
    force: str | None,
    reason: str | None = None,
) -> Promotion:
    """Checks the gates, and writes the change to the journal if they pass.

    Args:
        journal: Journal of the model.
        snapshot: State of the model.
        fetch: Downloads a version by number.
        reference: Version to promote.
        to: Alias that it is to get.
        gates: Bounds of the gates.
        force: Reason for overruling the gates, None to respect them.
        reason: Why the version is promoted, None to record no reason; overrules nothing.

    Raises:
        UsageError: There is no such version or alias, the version is the champion, `force` is blank, or `reason` is
            given too.
        PromotionConflictError: Another change was written in the meantime.
    """
    if to not in PROMOTABLE:
        raise UsageError(f"to: {to!r} given, allowed: {', '.join(PROMOTABLE)}")
    if force is not None and not force.strip():
        raise UsageError("force: a reason is needed; it is recorded")
    if force is not None and reason is not None:
        raise UsageError("reason: given together with force, which is the reason that is recorded; leave one out")
    name = reference.name
    aliases = snapshot.aliases
    version = aliases.get(reference.alias) if reference.alias is not None else reference.version
    if version is None:
        raise UsageError(f"model: {reference} given, no version of {name} has that alias")
    before = aliases.get(to)
    if before == version:
        return Promotion(name, version, to, before, (), promoted=True, forced=False)
    champion = aliases.get("champion")
    if version == champion:
        raise UsageError(
            f"to: {to} given, but {name}@{version} is the champion, and there would be none; make another version "
            f"champion first (promote {name}@VERSION --to champion, or rollback {name})"
        )
    verdicts = check_gates(gates, fetch(version), None if champion is None else fetch(champion), alias=to)
    passed = all(verdict.passed for verdict in verdicts)
    if not passed and force is None:
        return Promotion(name, version, to, before, verdicts, promoted=False, forced=False)
    lost = tuple(alias for alias in PROMOTABLE if aliases.get(alias) == version)
    changes: dict[str, int | None] = dict.fromkeys(lost)
    if to == "champion" and before is not None:
        changes["previous"] = before
    changes[to] = version
    journal.write(
        Entry(
            action="promote",
            alias=to,
            before=before,
            after=version,
            changes=changes,
            follows=snapshot.last,
            reason=reason if force is None else force.strip(),
            gates=[asdict(verdict) for verdict in verdicts],
        )
    )
    return Promotion(name, version, to, before, verdicts, promoted=True, forced=not passed, lost=lost)
