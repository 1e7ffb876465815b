"""Facts of a look at a canary, as JSON: for the page, for events, and for the picture."""

import math
from typing import Any

from lightning_app.serving.config.experiment_config import CanaryConfig
from lightning_app.serving.experiments.canary.decide import Look, share_of
from lightning_app.serving.experiments.canary.evidence import Evidence


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


def _finite(value: float) -> float | None:
    """A number that JSON can hold."""
    return round(value, 6) if math.isfinite(value) else None
