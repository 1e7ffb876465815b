"""Facts of a look at a canary, as JSON: for the page, for events, and for the picture."""

import math
from typing import Any

import msgspec

from lightning_app.serving.config.experiment_config import CanaryConfig
from lightning_app.serving.experiments.canary.decide import Look, share_of
from lightning_app.serving.experiments.canary.evidence import Evidence
from lightning_app.serving.experiments.canary.state import CanaryState

_LOOK_SHARE = 0.02
"""Looks are recorded in steps of this share of the time since the start, so that there are a few hundred at most."""


def facts_of(config: CanaryConfig, look: Look, evidence: Evidence) -> dict[str, Any]:
    """What was seen, with e-values as natural logs.

    Args:
        config: Of the canary.
        look: The look.
        evidence: What it was based on.
    """
    facts: dict[str, Any] = {
        "step": look.state.step,
        "share": share_of(config, look.state),
        "challenger": evidence.challenger_requests(),
        "requests": evidence.all_requests(),
        "waiting": look.waiting,
        "findings": {
            finding.name: {"log_e": _finite(finding.log_e), "needed": _finite(finding.needed), "words": finding.words}
            for finding in look.findings
        },
    }
    reward = look.reward
    if reward is not None:
        facts["reward"] = {
            "relative": _finite(reward.relative),
            "low": _finite(reward.low),
            "high": _finite(reward.high),
            "tolerated": -config.margins.reward,
            "kept_log_e": _finite(reward.no_worse.log_e),
            "needed": _finite(reward.no_worse.needed),
            "rewards": list(reward.rewards),
        }
    return facts


def event_of(
    config: CanaryConfig, before: CanaryState, look: Look, evidence: Evidence, *, now: float
) -> tuple[str, dict[str, Any]] | None:
    """Kind and facts of the event that records a look; None if it is not worth one.

    Args:
        config: Of the canary.
        before: State before the look.
        look: The look.
        evidence: What it was based on.
        now: Time in seconds since 1970.
    """
    verdict = look.state.verdict
    if verdict is not None:
        return "verdict", {**facts_of(config, look, evidence), **msgspec.to_builtins(verdict)}
    if look.state.step != before.step:
        return "step", facts_of(config, look, evidence)
    if now - before.looked >= max(1.0, _LOOK_SHARE * (now - before.started)):
        return "look", facts_of(config, look, evidence)
    return None


def _finite(value: float) -> float | None:
    """A number that JSON can hold."""
    return round(value, 6) if math.isfinite(value) else None
