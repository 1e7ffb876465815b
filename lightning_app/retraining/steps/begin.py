"""Beginning of a cycle: an order of a person or a trigger, within the limits of the policy."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from features.delta_table import is_delta
from features.versions.references import PREFIX, is_reference, pinned
from features.versions.table_facts import is_table
from lightning_app.retraining.cycles import Cycle, CycleEvent, TickLease
from lightning_app.retraining.cycles.cycle import cycle_id_of
from lightning_app.retraining.frozen.frozen_set import sha256_of
from lightning_app.retraining.steps.aliases import fate_of
from lightning_app.retraining.steps.context import Context
from lightning_app.retraining.steps.limits import limit
from lightning_app.retraining.steps.outcome import Wait
from lightning_app.retraining.steps.trigger_facts import champion_of, due_triggers
from lightning_app.retraining.triggers import Trigger
from lightning_app.retraining.triggers.gather import current_digests


def begin(context: Context, lease: TickLease, tell: Callable[[str, str], None]) -> Cycle | Wait:
    """Begins a cycle, if one is due and allowed.

    Args:
        context: Of the tick.
        lease: Lease of the tick.
        tell: Called with what is only suggested, as kind and words.

    Returns:
        The cycle, or what the model waits for.
    """
    order = _open_order(context)
    if (wait := limit(context, by_hand=order is not None)) is not None:
        return wait
    champion = champion_of(context)
    if order is not None:
        words = f"by hand, {order.facts['who']}: {order.facts['reason']}"
        begun = _create(context, lease, kind="hand", window=f"order {order.number}", words=words, champion=champion)
        return begun or Wait(words=f"a trigger; order {order.number} was carried out before")
    for trigger in due_triggers(context, champion):
        if trigger.action == "suggest":
            _suggest(context, trigger, tell)
            continue
        words = f"{trigger.kind}: {trigger.reason}"
        begun = _create(context, lease, kind=trigger.kind, window=trigger.window, words=words, champion=champion)
        if begun is not None:
            return begun
    return Wait(words="a trigger")


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
    last, champion = promoted[-1], champion_of(context)
    notes = [event for event in store.events(model) if event.cycle_id == last.cycle_id]
    if champion == last.facts["version"] or any(note.kind == "rolled_back" for note in notes):
        return None
    replaced = {"champion": champion, "words": f"version {champion} is champion by now"}
    if notes[-1].kind == "replaced" and notes[-1].facts == replaced:
        return None  # the history was read before
    fate = fate_of(context.registry, model, last.facts["version"])
    if fate.kind != "rolled_back":
        store.note(model, "replaced", replaced, now=context.now, cycle_id=last.cycle_id)
        return None
    words = f"{model}@{last.facts['version']} was rolled back: {fate.words}"
    store.note(model, "rolled_back", {"words": words}, now=context.now, cycle_id=last.cycle_id)
    return words


def _open_order(context: Context) -> CycleEvent | None:
    """The newest order, if no cycle was begun for it."""
    orders = [event for event in context.store.events(context.policy.model) if event.kind == "order"]
    windows = {cycle.spec.get("window") for cycle in context.store.cycles(context.policy.model)}
    return orders[-1] if orders and f"order {orders[-1].number}" not in windows else None


def _suggest(context: Context, trigger: Trigger, tell: Callable[[str, str], None]) -> None:
    """Says once that a trigger holds which only suggests."""
    facts = {"trigger": trigger.kind, "window": trigger.window, "words": f"{trigger.kind}: {trigger.reason}"}
    known = [event.facts for event in context.store.events(context.policy.model) if event.kind == "suggested"]
    if not any((one["trigger"], one["window"]) == (trigger.kind, trigger.window) for one in known):
        context.store.note(context.policy.model, "suggested", facts, now=context.now)
        tell("suggested", facts["words"])


def _create(
    context: Context, lease: TickLease, *, kind: str, window: str, words: str, champion: int | None
) -> Cycle | None:
    """Begins a cycle; None if there was one with the same id."""
    model = context.policy.model
    config, contract = current_digests(context.policy)
    policy = msgspec.json.encode([context.policy.training, context.policy.data, context.policy.gate])
    cycle_id = cycle_id_of(
        model=model,
        trigger=kind,
        window=window,
        champion=str(champion),
        config=hashlib.sha256(config.encode() + policy).hexdigest(),
        data=_data_digest(context),
    )
    spec = {
        "trigger": kind, "window": window, "words": words, "champion": champion, "cut": context.now,
        "config_sha256": config, "contract_sha256": contract,
    }  # fmt: skip
    context.store.create(cycle_id, model=model, spec=spec, lease=lease, now=context.now, words=words)
    return context.store.live(model)


def _data_digest(context: Context) -> str:
    """Digest of what there is to train on: files of before the journal, and how far the journal is."""
    digest = hashlib.sha256()
    for path in context.policy.data.history:
        digest.update(_history_digest(path).encode())
    for name in ("predictions", "outcomes"):
        ((newest,),) = context.database.execute(f"SELECT coalesce(max(number), 0) FROM {context.database.table(name)}")
        digest.update(f"{name} {newest}".encode())
    return digest.hexdigest()


def _history_digest(path: str) -> str:
    """Digest of a table of history: of its files, or of the version that a reference names.

    Raises:
        ValueError: There is no such table.
    """
    place = Path(path).expanduser()
    try:
        if is_reference(path) or is_delta(path):
            return pinned(path)
        if not place.exists():  # the name of a snapshot
            return pinned(f"{PREFIX}{path}")
        files = sorted(file for file in place.rglob("*") if is_table(file)) if place.is_dir() else [place]
        return " ".join(sha256_of(file) for file in files)
    except (OSError, ValueError) as error:
        raise ValueError(f"data.history: {path} is neither a file, a folder nor a snapshot: {error}") from error
