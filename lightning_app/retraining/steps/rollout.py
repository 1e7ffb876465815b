"""Rollout: the way of a version that passed the gates, through approval, shadow and canary, to the champion."""

from typing import Literal

from features.definitions.duration import seconds
from lightning_app.retraining.cycles import Cycle
from lightning_app.retraining.steps.aliases import aliases_of, fate_of, moved, was_done
from lightning_app.retraining.steps.context import Context
from lightning_app.retraining.steps.outcome import Advance, Outcome, Repeat, Stop, Wait
from lightning_app.retraining.steps.shadow_answers import judge_shadow

Alias = Literal["shadow", "challenger", "champion"]


def roll_out(context: Context, cycle: Cycle) -> Outcome:
    """Waits for the approval, where one is needed, and gives the first alias.

    Args:
        context: Of the tick.
        cycle: A cycle whose version passed the gates.
    """
    rollout = context.policy.rollout
    if (words := moved(context, cycle)) is not None:
        return Stop(state="expired", reason=words)
    if rollout.approval and not context.orders(cycle, "approve"):
        until = _since(context, cycle) + seconds(rollout.approval_within)
        if context.now >= until:
            return Stop(state="expired", reason=f"not approved within {rollout.approval_within}")
        return Wait(words=f"approval: lightning-app retrain approve {cycle.cycle_id}", until=until)
    return _next(context, cycle, after="gated")


def follow_shadow(context: Context, cycle: Cycle) -> Outcome:
    """Waits for the answers of the shadow, compares them, and goes on.

    Args:
        context: Of the tick.
        cycle: A cycle whose version is shadow.
    """
    policy = context.policy.rollout.shadow
    if policy is None:
        return Stop(state="rejected", reason="rollout.shadow was taken out of the policy meanwhile")
    verdict = cycle.facts.get("shadow")
    if verdict is not None:  # the alias may be gone by now
        if not verdict["passed"]:
            return Stop(state=verdict["state"], reason=verdict["words"])
        return _next(context, cycle, after="shadow")
    if (words := moved(context, cycle)) is not None:
        return Stop(state="expired", reason=words)
    fate = fate_of(context.registry, cycle.model, cycle.facts["version"])
    if fate.kind != "held":
        return Stop(state="rejected", reason=f"the alias shadow was taken away: {fate.kind}, {fate.words}")
    begin = _since(context, cycle)
    judged = judge_shadow(context.database, cycle, policy, since=begin)
    if judged.passed is not None:
        facts = {"passed": judged.passed, "state": "rejected", "words": f"shadow: {judged.words}"}
        return Repeat(kind="compared", words=f"shadow: {judged.words}", facts={"shadow": facts})
    until = begin + seconds(policy.most)
    if context.now >= until:
        words = f"shadow: {judged.words} after {policy.most}; is a server with `shadow:` running?"
        return Repeat(
            kind="compared", words=words, facts={"shadow": {"passed": False, "state": "expired", "words": words}}
        )
    return Wait(words=f"shadow: {judged.words}", until=until)


def follow_canary(context: Context, cycle: Cycle) -> Outcome:
    """Waits for what the canary of the server decides, or a person.

    Args:
        context: Of the tick.
        cycle: A cycle whose version is challenger.
    """
    policy = context.policy.rollout.canary
    if policy is None:
        return Stop(state="rejected", reason="rollout.canary was taken out of the policy meanwhile")
    fate = fate_of(context.registry, cycle.model, cycle.facts["version"])
    if fate.kind == "champion":
        return Stop(state="promoted", reason=fate.words)
    if fate.kind in ("rolled_back", "withdrawn"):
        return Stop(state="rolled_back", reason=fate.words)
    if fate.kind == "superseded":
        return Stop(state="expired", reason=f"superseded {fate.words}")
    if (words := moved(context, cycle)) is not None:
        return Stop(state="expired", reason=words)
    until = _since(context, cycle) + seconds(policy.most)
    if context.now >= until:
        return Stop(state="expired", reason=f"the canary did not decide within {policy.most}")
    return Wait(words="the canary of the server: lightning-app experiment list", until=until)


def _next(context: Context, cycle: Cycle, *, after: Literal["gated", "shadow"]) -> Outcome:
    rollout = context.policy.rollout
    if after == "gated" and rollout.shadow is not None and cycle.spec["champion"] is not None:
        return _give(context, cycle, "shadow")
    if rollout.canary is not None and cycle.spec["champion"] is not None:
        return _give(context, cycle, "challenger")
    return _give(context, cycle, "champion")


def _give(context: Context, cycle: Cycle, alias: Alias) -> Outcome:
    """Gives an alias through the gates of the registry, once."""
    from lightning_app.registry import GateFile

    registry, version = context.registry, cycle.facts["version"]
    name = f"{cycle.model}@{version}"
    if not was_done(registry, cycle, alias=alias):
        if (words := moved(context, cycle)) is not None:
            return Stop(state="expired", reason=words)
        holder = aliases_of(registry, cycle.model).get(alias)
        if alias != "champion" and holder not in (None, version):
            until = _since(context, cycle) + seconds(context.policy.rollout.approval_within)
            if context.now >= until:
                return Stop(state="expired", reason=f"{cycle.model}@{holder} was {alias} all the time")
            return Wait(words=f"{cycle.model}@{holder} is {alias}; withdraw it, or let it end", until=until)
        reason = f"{cycle.cycle_id}: {cycle.facts.get('judgement', {}).get('reason', 'first version')}"
        gates = GateFile.read(context.policy.gate.gates)
        done = registry.promote(name, to=alias, gates=gates, reason=reason)
        if not done.promoted:
            failed = [
                f"{verdict.gate} ({verdict.value}; {verdict.bound})" for verdict in done.verdicts if not verdict.passed
            ]
            return Stop(state="rejected", reason=f"gates refuse it as {alias}: {'; '.join(failed)}")
    if alias == "shadow":
        return Advance(state="shadow", words=f"{name} is shadow")
    if alias == "challenger":
        return Advance(state="canary", words=f"{name} is challenger")
    fate = fate_of(registry, cycle.model, version)
    if fate.kind == "rolled_back":  # between the promotion and this look
        return Stop(state="rolled_back", reason=fate.words)
    return Stop(state="promoted", reason=f"{name} is champion: {fate.words}")


def _since(context: Context, cycle: Cycle) -> float:
    return min(cycle.entered, context.now)
