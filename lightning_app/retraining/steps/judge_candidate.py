"""Gate: champion and candidate on the same frozen rows, then the gates of the registry."""

from typing import Any

import msgspec

from lightning_app.packaging import Package, RequestError
from lightning_app.registry.promotion.gate_file import GateFile
from lightning_app.retraining.cycles import Cycle
from lightning_app.retraining.frozen import FreezeError, read_frozen_set
from lightning_app.retraining.gate import Judgement, Look, judge
from lightning_app.retraining.steps.aliases import moved
from lightning_app.retraining.steps.context import Context
from lightning_app.retraining.steps.outcome import Advance, Outcome, Stop


def judge_candidate(context: Context, cycle: Cycle) -> Outcome:
    """Compares the candidate with the champion, and asks the gates.

    Args:
        context: Of the tick.
        cycle: A cycle whose version is registered.
    """
    if (words := moved(context, cycle)) is not None:
        return Stop(state="expired", reason=words)
    registry, name = context.registry, f"{cycle.model}@{cycle.facts['version']}"
    champion = cycle.spec["champion"]
    facts: dict[str, Any] = {}
    words = "no champion to compare with"
    if champion is not None:
        try:
            facts = _judged(context, cycle, name, f"{cycle.model}@{champion}")
        except (RequestError, FreezeError) as error:
            return Stop(state="failed", reason=f"champion and candidate cannot be compared: {error}")
        words = facts["judgement"]["reason"]
        if not facts["judgement"]["passed"]:
            return Stop(state="rejected", reason=words, facts=facts)
    verdicts = registry.check(name, to="champion", gates=GateFile.read(context.policy.gate.gates))
    refused = [f"{verdict.gate} ({verdict.value}; {verdict.bound})" for verdict in verdicts if not verdict.passed]
    if refused:
        reason = f"{len(refused)} of {len(verdicts)} gates refuse it: {'; '.join(refused)}"
        return Stop(state="rejected", reason=reason, facts=facts)
    return Advance(state="gated", words=f"{words}; {len(verdicts)} gates passed", facts=facts)


def _judged(context: Context, cycle: Cycle, candidate: str, champion: str) -> dict[str, Any]:
    """The judgement as facts; the registry gets the errors by row, so that its own gate can compare the two."""
    registry, policy = context.registry, context.policy
    frozen = read_frozen_set(context.folder(cycle) / "frozen")
    paths = {name: registry.resolve(name).path for name in (champion, candidate)}
    comparison = judge(
        Package.load(paths[champion]),
        Package.load(paths[candidate]),
        frozen.evaluation_rows(),
        label=frozen.manifest.label,
        alpha=policy.gate.alpha,
        margin=policy.gate.margin,
        earlier=_judged_before(context, cycle),
        context=frozen.context_rows(),
        minimum_rows=policy.data.minimum_rows.evaluation,
    )
    for name, errors in ((champion, comparison.champion_errors), (candidate, comparison.candidate_errors)):
        registry.add_evaluation(name, errors, frozen.evaluation_data())
    return {"judgement": msgspec.to_builtins(comparison.judgement)}


def _judged_before(context: Context, cycle: Cycle) -> list[Look]:
    """Candidates that were judged against the same champion before, the first one first."""
    others = [other for other in context.store.cycles(cycle.model) if other.cycle_id != cycle.cycle_id]
    same = [other for other in others if other.spec["champion"] == cycle.spec["champion"]]
    judged = [other.facts["judgement"] for other in same if "judgement" in other.facts]
    return [msgspec.convert(judgement, Judgement).look for judgement in judged]
