"""Registration: the package of a cycle becomes a version, once."""

from lightning_app.retraining.cycles import Cycle
from lightning_app.retraining.steps.aliases import moved
from lightning_app.retraining.steps.context import Context
from lightning_app.retraining.steps.outcome import Advance, Outcome, Stop
from lightning_app.retraining.steps.quarantine import quarantine_of


def register(context: Context, cycle: Cycle) -> Outcome:
    """Registers the package; the registry returns the version of one that it knows already.

    Args:
        context: Of the tick.
        cycle: A cycle whose training has ended.
    """
    if (words := moved(context, cycle)) is not None:  # a registry that is away is noticed here: register would make one
        return Stop(state="expired", reason=words)
    version = context.registry.register(cycle.facts["result"]["package"], cycle.model)
    if version in quarantine_of(context.store, cycle.model).versions:
        return Stop(
            state="rejected", reason=f"{cycle.model}@{version} was rolled back before", facts={"version": version}
        )
    return Advance(state="registered", words=f"{cycle.model}@{version}", facts={"version": version})


def version_of(context: Context, cycle: Cycle) -> int | None:
    """Version of the package of a cycle, also if the tick that registered it was killed; None if it has none.

    Args:
        context: Of the tick.
        cycle: The cycle.
    """
    version: int | None = cycle.facts.get("version")
    if version is not None or "digest" not in cycle.facts:
        return version
    try:
        versions = context.registry.versions(cycle.model)
    except ValueError:  # there is no such model yet
        return None
    return next((known.record.number for known in versions if known.record.digest == cycle.facts["digest"]), None)
