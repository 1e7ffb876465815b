"""Decision of a canary: stay, go to the next step, or end; a pure function of what was counted and of the clock."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from lightning_app.serving.config.experiment_config import CanaryConfig
from lightning_app.serving.experiments.canary.evidence import Evidence
from lightning_app.serving.experiments.canary.findings import (
    Finding,
    RewardFinding,
    find_guard,
    harm,
    last_step,
    reward,
)
from lightning_app.serving.experiments.canary.latency import find_baseline
from lightning_app.serving.experiments.canary.state import Action, CanaryState, Verdict

_HOLD = math.log(4.0)
"""Evidence of harm that is not enough to end a canary, but too much to give it more requests."""


@dataclass(frozen=True)
class Look:
    """One look at a canary.

    Attributes:
        state: State after it.
        findings: Tests against the challenger.
        reward: Rewards; None if none are configured.
        waiting: What the next step waits for, empty if nothing.
    """

    state: CanaryState
    findings: Sequence[Finding]
    reward: RewardFinding | None
    waiting: str


def share_of(config: CanaryConfig, state: CanaryState) -> float:
    """Share of the challenger that a state asks for.

    Args:
        config: With the steps.
        state: The state.
    """
    if state.verdict is not None:
        return 1.0 if state.verdict.action == "promote" and state.verdict.status == "promoted" else 0.0
    return config.steps[state.step]


def decide(config: CanaryConfig, state: CanaryState, evidence: Evidence, *, now: float) -> Look:
    """Looks at a canary.

    It may be called as often as one likes: all tests are always valid. A state with a verdict is returned as it is.

    Args:
        config: Steps, bounds and margins.
        state: State before.
        evidence: What was counted since the canary began.
        now: Time in seconds since 1970.
    """
    if state.verdict is not None:
        return Look(state, (), None, "")
    if state.baseline is None:
        state = replace(state, baseline=find_baseline(evidence, margin=config.margins.latency))
    findings = harm(config, evidence, state.baseline)
    if state.guard is not None:
        findings += last_step(config, evidence, state.baseline, state.guard)
    rewards = reward(config, evidence)
    if rewards is not None:
        findings.append(rewards.worse)
    end = _end(config, state, findings, rewards, evidence, now)
    if end is not None:
        return Look(replace(state, verdict=end), findings, rewards, "")
    waiting = _waiting(config, state, findings, rewards, evidence, now)
    if not waiting:
        state = _onward(config, state, evidence, now)
    return Look(state, findings, rewards, waiting)


def _end(
    config: CanaryConfig,
    state: CanaryState,
    findings: Sequence[Finding],
    rewards: RewardFinding | None,
    evidence: Evidence,
    now: float,
) -> Verdict | None:
    """Verdict of a person, of a test, or of the clock."""
    seen = f"it saw {evidence.challenger_requests():,} of {evidence.all_requests():,} requests"
    request = state.request
    if request is not None:
        reason = f"{request.who}: {request.reason}; {seen}"
        if request.action == "promote":
            return Verdict(action="promote", status="promoted", reason=reason, time=now, forced=True)
        return Verdict(action="roll_back", status="rolled_back", reason=reason, time=now, forced=True)
    for finding in findings:
        if finding.shown:
            reason = (
                f"{finding.name} worse than tolerated at {config.steps[state.step] * 100:g} %: {finding.words} "
                f"(e-value {_short(finding.log_e)}, {_short(finding.needed)} needed); {seen}"
            )
            return Verdict(action="roll_back", status="rolled_back", reason=reason, time=now)
    if now - state.started > config.max_seconds:
        waiting = _waiting(config, state, findings, rewards, evidence, now)
        reason = f"not shown to be no worse in {config.max_seconds:g} s: {waiting or 'out of time'}; {seen}"
        action: Action = "roll_back" if config.on_expiry == "roll_back" else "keep"
        return Verdict(action=action, status="expired", reason=reason, time=now)
    return None


def _waiting(
    config: CanaryConfig,
    state: CanaryState,
    findings: Sequence[Finding],
    rewards: RewardFinding | None,
    evidence: Evidence,
    now: float,
) -> str:
    """What the next step waits for."""
    requests = evidence.challenger_requests() - state.step_requests
    if requests < config.min_requests:
        return f"{requests:,} of {config.min_requests:,} requests in this step"
    if now - state.step_started < config.min_seconds:
        return f"{now - state.step_started:.0f} of {config.min_seconds:g} s in this step"
    if state.baseline is None:
        return "latencies of the champion to compare with"
    for finding in findings:
        if finding.log_e >= _HOLD:
            return f"{finding.name} may be worse (e-value {_short(finding.log_e)} of {_short(finding.needed)})"
    last_compared = state.step + 1 < len(config.steps) and config.steps[state.step + 1] >= 1
    if rewards is not None and last_compared and not rewards.no_worse.shown:
        no_worse = rewards.no_worse
        return (
            f"evidence that the reward is kept to {config.margins.reward:.3g} (e-value {_short(no_worse.log_e)}, "
            f"{_short(no_worse.needed)} needed): {no_worse.words}"
        )
    return ""


def _onward(config: CanaryConfig, state: CanaryState, evidence: Evidence, now: float) -> CanaryState:
    """The next step, or promotion after the last one."""
    if state.step + 1 == len(config.steps):
        seen = f"it saw {evidence.challenger_requests():,} of {evidence.all_requests():,} requests"
        reason = f"no worse than tolerated in {len(config.steps)} steps; {seen}"
        return replace(state, verdict=Verdict(action="promote", status="promoted", reason=reason, time=now))
    guard = state.guard
    if config.steps[state.step + 1] >= 1:
        guard = find_guard(config, evidence, state.baseline)
    return replace(
        state, step=state.step + 1, step_started=now, step_requests=evidence.challenger_requests(), guard=guard
    )


def _short(log_e: float) -> str:
    return f"{math.exp(log_e):.3g}" if log_e < 30 else f"10^{log_e / math.log(10):.0f}"
