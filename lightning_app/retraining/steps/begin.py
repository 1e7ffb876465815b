"""Beginning of a cycle: an order of a person or a trigger, within the limits of the policy."""

import hashlib
from pathlib import Path

import msgspec

from lightning_app.config.shipped_configs import find_config
from lightning_app.registry.storage.address import RegistryAddress
from lightning_app.registry.storage.alias_reader import AliasReader
from lightning_app.retraining.cycles import Cycle, CycleEvent, TickLease
from lightning_app.retraining.cycles.cycle import cycle_id_of
from lightning_app.retraining.steps.aliases import aliases_of, fate_of
from lightning_app.retraining.steps.context import Context
from lightning_app.retraining.steps.limits import limit
from lightning_app.retraining.steps.outcome import Wait


def begin(context: Context, lease: TickLease) -> Cycle | Wait:
    """Begins a cycle, if one is due and allowed.

    Args:
        context: Of the tick.
        lease: Lease of the tick.

    Returns:
        The cycle, or what the model waits for.
    """
    order = _open_order(context)
    if (wait := limit(context, by_hand=order is not None)) is not None:
        return wait
    if order is None:
        return Wait(words="a trigger")
    champion = champion_of(context)
    window, words = f"order {order.number}", f"by hand, {order.facts['who']}: {order.facts['reason']}"
    return _create(context, lease, kind="hand", window=window, words=words, champion=champion, order=order.number)


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


def watch_promoted(context: Context) -> str | None:
    """Notes that the version of the last promoted cycle was rolled back since.

    Args:
        context: Of the tick.

    Returns:
        What happened, in words; None if nothing did.
    """
    model, store = context.policy.model, context.store
    promoted = [cycle for cycle in store.cycles(model) if cycle.state == "promoted"]
    if not promoted:
        return None
    last = promoted[-1]
    noted = any(event.kind == "rolled_back" and event.cycle_id == last.cycle_id for event in store.events(model))
    if noted or champion_of(context) == last.facts["version"]:
        return None
    fate = fate_of(context.registry, model, last.facts["version"])
    if fate.kind != "rolled_back":
        return None
    words = f"{model}@{last.facts['version']} was rolled back: {fate.words}"
    store.note(model, "rolled_back", {"words": words}, now=context.now, cycle_id=last.cycle_id)
    return words


def _open_order(context: Context) -> CycleEvent | None:
    """The oldest order that no cycle was begun for."""
    orders = [event for event in context.store.events(context.policy.model) if event.kind == "order"]
    done = {cycle.spec.get("order") for cycle in context.store.cycles(context.policy.model)}
    return next((order for order in orders if order.number not in done), None)


def _create(
    context: Context,
    lease: TickLease,
    *,
    kind: str,
    window: str,
    words: str,
    champion: int | None,
    order: int | None = None,
) -> Cycle | Wait:
    model, policy = context.policy.model, context.policy
    config = Path(find_config(policy.training.config)).read_bytes()
    training = msgspec.json.encode([policy.training, policy.data, policy.gate])
    cycle_id = cycle_id_of(
        model=model,
        trigger=kind,
        window=window,
        champion=str(champion),
        config=hashlib.sha256(config + training).hexdigest(),
        data=_data_digest(context),
    )
    spec = {"trigger": kind, "window": window, "words": words, "champion": champion, "cut": context.now, "order": order}
    spec["config_sha256"] = hashlib.sha256(config).hexdigest()
    context.store.create(cycle_id, model=model, spec=spec, lease=lease, now=context.now, words=words)
    cycle = context.store.live(model)
    if cycle is None:
        return Wait(words=f"new data or another config: cycle {cycle_id} had the same, and has ended")
    return cycle


def _data_digest(context: Context) -> str:
    """Digest of what there is to train on: files of before the journal, and how far the journal is."""
    digest = hashlib.sha256()
    for path in context.policy.data.history:
        with Path(path).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    for name in ("predictions", "outcomes"):
        ((newest,),) = context.database.execute(f"SELECT coalesce(max(number), 0) FROM {context.database.table(name)}")
        digest.update(f"{name} {newest}".encode())
    return digest.hexdigest()
