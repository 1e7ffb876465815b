"""Triggers of a tick: what holds now, by the journal, the registry and the monitoring."""

from msgspec.structs import replace

from lightning_app.monitoring.config.monitor_config import MonitoredModel, read_monitor_config
from lightning_app.monitoring.observation.observe import NoAnswersError
from lightning_app.monitoring.observation.sources import opened_sources
from lightning_app.monitoring.report.structs import MonitorReport
from lightning_app.registry.storage.address import RegistryAddress
from lightning_app.registry.storage.alias_reader import AliasReader
from lightning_app.retraining.config.policy import TriggerPolicy
from lightning_app.retraining.steps.aliases import aliases_of
from lightning_app.retraining.steps.context import Context
from lightning_app.retraining.triggers import Trigger, due, gather


def due_triggers(context: Context, champion: int | None) -> list[Trigger]:
    """Triggers that hold now; those that train come first.

    Args:
        context: Of the tick.
        champion: Version of the champion; None without one.
    """
    policy = context.policy
    cycles = context.store.cycles(policy.model)
    made = any(cycle.facts.get("version") == champion for cycle in cycles)
    needs_age = policy.triggers.age is not None or policy.triggers.labels is not None
    facts = gather(
        policy,
        database=context.database,
        cycles=cycles,
        champion=champion,
        registered=_registered(context, champion) if champion is not None and needs_age and not made else None,
        now=context.now,
        report=_report(context),
    )
    suggested = (event.facts for event in context.store.events(policy.model) if event.kind == "suggested")
    facts = replace(facts, suggested=frozenset((str(one["trigger"]), str(one["window"])) for one in suggested))
    return due(policy, facts, context.now)


def champion_of(context: Context) -> int | None:
    """Version of the champion; None without one. Asks without MLflow where that is possible.

    Args:
        context: Of the tick.
    """
    model = context.policy.model
    reader = AliasReader(RegistryAddress.find(context.policy.registry))
    if reader.is_cheap:
        return reader.read([(model, "champion")])[model, "champion"]
    try:
        return aliases_of(context.registry, model).get("champion")
    except ValueError:  # there is no such model yet
        return None


def _registered(context: Context, version: int) -> float:
    """When a version was registered; asked of the registry once."""
    store, model = context.store, context.policy.model
    for event in store.events(model):
        if event.kind == "champion" and event.facts["version"] == version:
            return float(event.facts["registered"])
    record = next(known.record for known in context.registry.versions(model) if known.record.number == version)
    registered = record.created.timestamp()
    facts = {"version": version, "registered": registered, "words": f"{model}@{version} is champion"}
    store.note(model, "champion", facts, now=context.now)
    return registered


def _asks(triggers: TriggerPolicy) -> bool:
    """Whether any trigger asks for the report of the monitoring."""
    return any(trigger is not None for trigger in (triggers.metric, triggers.drift, triggers.change))


def _report(context: Context) -> MonitorReport | None:
    """Report of the monitoring, where a trigger asks for it; None if nothing was answered yet."""
    policy = context.policy
    if policy.monitor is None or not _asks(policy.triggers):
        return None
    config = read_monitor_config(policy.monitor)
    config = replace(config, journal=config.journal or policy.journal, registry=config.registry or policy.registry)
    model = next((one for one in config.models if one.model == policy.model), MonitoredModel(model=policy.model))
    with opened_sources(config) as sources:
        try:
            return sources.observer.observe(model, context.now)
        except NoAnswersError:
            return None
