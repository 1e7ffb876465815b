"""Findings of a canary: one per test, with its e-value, the e-value that ends the canary, and both arms in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lightning_app.serving.config.experiment_config import CanaryConfig
from lightning_app.serving.experiments.canary.evidence import CHALLENGER, CHAMPION, Evidence
from lightning_app.serving.experiments.canary.latency import exceedances
from lightning_app.serving.experiments.canary.state import Baseline, Guard
from lightning_app.serving.experiments.sequential.event_test import (
    StratumEvents,
    exceedance_log_e_value,
    rate_log_e_value,
)
from lightning_app.serving.experiments.sequential.mean_difference import MeanDifference, mean_difference
from lightning_app.serving.experiments.sequential.rate_bound import rate_above_log_e_value, upper_rate

_COMPARED, _GUARD, _BOUND = 0.75, 0.2, 0.05
"""Parts of alpha: of the comparison with the champion, of the last step, and of the champion's rate that it needs."""
_ODDS = 2.0
"""In the last step, odds against those of the champion that are tolerated: the hour of the day may differ too."""


@dataclass(frozen=True)
class Finding:
    """Outcome of one test against the challenger.

    Attributes:
        name: `errors`, `latency p50`, `reward`, ...
        log_e: Log of the e-value against "no worse than tolerated".
        needed: Log of the e-value that shows it.
        words: Both arms in words.
    """

    name: str
    log_e: float
    needed: float
    words: str

    @property
    def shown(self) -> bool:
        """Whether the challenger is shown to be worse."""
        return self.log_e >= self.needed


@dataclass(frozen=True)
class RewardFinding:
    """Rewards of both arms.

    Attributes:
        worse: Against "no worse than tolerated".
        no_worse: Against "worse than tolerated".
        relative: Relative difference of the means above the least reward; NaN before there are rewards.
        low: Lower end of its confidence sequence.
        high: Upper end.
        rewards: Rewards of the challenger and of the champion.
    """

    worse: Finding
    no_worse: Finding
    relative: float
    low: float
    high: float
    rewards: tuple[int, int]


def harm(config: CanaryConfig, evidence: Evidence, baseline: Baseline | None) -> list[Finding]:
    """Tests of errors and latency while both arms answer.

    Args:
        config: Margins and alpha.
        evidence: What was counted.
        baseline: Thresholds of latency, None before there are any.
    """
    alpha = _part(config) * _COMPARED
    failures = evidence.failures()
    log_e = rate_log_e_value(failures, margin=config.margins.errors)
    findings = [Finding("errors", log_e, -math.log(alpha), _rates(failures, "failed"))]
    if baseline is None:
        return findings
    for threshold in baseline.thresholds:
        events = exceedances(evidence, baseline, threshold)
        log_e = exceedance_log_e_value(events, rate=threshold.rate)
        allowed = f"took longer than {threshold.milliseconds:.3g} ms (challenger: {config.margins.latency:+.0%})"
        needed = -math.log(alpha / len(baseline.thresholds))
        findings.append(Finding(f"latency p{threshold.quantile * 100:g}", log_e, needed, _rates(events, allowed)))
    return findings


def reward(config: CanaryConfig, evidence: Evidence) -> RewardFinding | None:
    """Tests of the rewards; None if none are configured.

    Args:
        config: Margins, alpha and reward.
        evidence: What was counted.
    """
    if config.reward is None:
        return None
    strata = evidence.reward_strata(config.reward.low)
    plain = mean_difference(strata)
    kept = mean_difference(strata, factor=1 - config.margins.reward)
    counts = (
        int(sum(stratum.challenger.count for stratum in strata)),
        int(sum(stratum.champion.count for stratum in strata)),
    )
    effect = _effect(plain, config)
    level = plain.champion if plain.weight and plain.champion > 0 else math.nan
    ends = plain.interval(alpha=config.alpha, effect=effect)
    words = f"mean reward {plain.challenger:.4g} against {plain.champion:.4g} above {config.reward.low:g}"
    words += f", {counts[0]:,} and {counts[1]:,} rewards"
    worse = kept.log_e_value(effect=effect, above=False)
    no_worse = kept.log_e_value(effect=effect, above=True)
    return RewardFinding(
        worse=Finding("reward", worse, -math.log(_part(config)), words),
        no_worse=Finding("reward is kept", no_worse, -math.log(config.alpha), words),
        relative=plain.estimate / level,
        low=ends[0] / level,
        high=ends[1] / level,
        rewards=counts,
    )


def find_guard(config: CanaryConfig, evidence: Evidence, baseline: Baseline | None) -> Guard:
    """What is tolerated in the last step, by what the champion did before.

    Args:
        config: Margins and alpha.
        evidence: What was counted in all steps before.
        baseline: Thresholds of latency.
    """
    alpha = _part(config) * _BOUND
    mixed = [events for events in evidence.failures() if 0 < events.share < 1]
    errors = _tolerated(mixed, alpha, config.margins.errors)
    thresholds = () if baseline is None else baseline.thresholds[-1:]
    events = [exceedances(evidence, baseline, threshold) for threshold in thresholds if baseline is not None]
    return Guard(errors=errors, exceedances=[_tolerated(each, alpha, 0.0) for each in events])


def last_step(config: CanaryConfig, evidence: Evidence, baseline: Baseline | None, guard: Guard) -> list[Finding]:
    """Tests of the last step, where only the challenger answers.

    Args:
        config: Alpha.
        evidence: What was counted.
        baseline: Thresholds of latency.
        guard: What is tolerated.
    """
    needed = -math.log(_part(config) * _GUARD)
    findings = [_alone("errors alone", evidence.failures(), guard.errors, needed, "failed")]
    if baseline is not None and guard.exceedances:
        threshold = baseline.thresholds[-1]
        what = f"took longer than {threshold.milliseconds:.3g} ms ({config.margins.latency:+.0%})"
        events = exceedances(evidence, baseline, threshold)
        findings.append(_alone("latency alone", events, guard.exceedances[0], needed, what))
    return findings


def _part(config: CanaryConfig) -> float:
    """Alpha of each of errors, latency and reward."""
    return config.alpha / (2 if config.reward is None else 3)


def _effect(plain: MeanDifference, config: CanaryConfig) -> float:
    assert config.reward is not None
    least = 1e-4 * (config.reward.high - config.reward.low)
    level = plain.champion if plain.weight else 0.0
    return max((config.margins.reward or 0.03) * level, least)


def _tolerated(strata: Sequence[StratumEvents], alpha: float, margin: float) -> float:
    events = sum(stratum.champion for stratum in strata)
    rate = upper_rate(events, events + sum(stratum.champion_others for stratum in strata), alpha=alpha)
    odds = _ODDS * (1 + margin) * rate / max(1 - rate, 1e-9)
    return min(odds / (1 + odds), 1 - 1e-9)


def _alone(name: str, strata: Sequence[StratumEvents], rate: float, needed: float, what: str) -> Finding:
    events = sum(stratum.challenger for stratum in strata if stratum.share == 1)
    trials = events + sum(stratum.challenger_others for stratum in strata if stratum.share == 1)
    log_e = rate_above_log_e_value(events, trials, rate=rate) if trials else 0.0
    return Finding(name, log_e, needed, f"{events:,} of {trials:,} {what}; {rate:.3g} is tolerated")


def _rates(strata: Sequence[StratumEvents], what: str) -> str:
    mixed = [stratum for stratum in strata if 0 < stratum.share < 1]
    parts = []
    for arm, events, others in (
        (CHALLENGER, "challenger", "challenger_others"),
        (CHAMPION, "champion", "champion_others"),
    ):
        count = sum(getattr(stratum, events) for stratum in mixed)
        trials = count + sum(getattr(stratum, others) for stratum in mixed)
        parts.append(f"{count:,} of {trials:,} of the {arm}{f' ({count / trials:.3g})' if trials else ''}")
    return f"{' and '.join(parts)} {what}"
