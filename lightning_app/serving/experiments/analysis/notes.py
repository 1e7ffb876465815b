"""Notes: what an analysis leaves out, and what a reader has to keep in mind."""

from lightning_app.serving.experiments.analysis.guardrails import rates_p_value
from lightning_app.serving.experiments.analysis.pre_period import PrePeriod
from lightning_app.serving.experiments.analysis.results import ArmRewards
from lightning_app.serving.experiments.analysis.settings import Settings
from lightning_app.serving.experiments.analysis.statistics.effects import FEWEST_KEYS, Effect
from lightning_app.serving.experiments.analysis.sums import Sums

_UNEVEN = 0.01


def notes_of(
    settings: Settings, sums: Sums, arms: list[ArmRewards], effects: list[Effect], pre_period: PrePeriod | None
) -> list[str]:
    """Notes on an analysis, one line each.

    Args:
        settings: How it was done.
        sums: What was added up.
        arms: Requests and rewards by arm, control first.
        effects: Effects that were found.
        pre_period: What keys did before; None without CUPED.
    """
    notes = []
    waiting, judged = sum(arm.waiting for arm in arms), sum(arm.judged for arm in arms)
    if waiting:
        notes.append(
            f"{waiting:,} requests are younger than {settings.within_seconds:,.0f} s and wait for their rewards: they "
            "are not judged, with or without a reward"
        )
    unrewarded = sum(arm.unrewarded for arm in arms)
    if unrewarded and settings.missing_reward is None:
        notes.append(f"{unrewarded:,} of {judged:,} judged requests have no reward and are left out")
        control = arms[0]
        for arm in arms[1:]:
            tail = rates_p_value(
                (arm.unrewarded, arm.judged),
                (control.unrewarded, control.judged),
            )
            if tail < _UNEVEN:
                notes.append(
                    f"WARNING: rewards are missing at another rate for {arm.arm} than for {control.arm} "
                    f"(p = {tail:.2g}): effects may be biased"
                )
    elif unrewarded:
        notes.append(f"{unrewarded:,} judged requests without a reward count as {settings.missing_reward:g}")
    if any(arm.degraded for arm in arms):
        notes.append("degraded requests count for the arm that was chosen, although another answered")
    if len(arms) > 1 and not sums.has_constant_shares:
        weight = "1 - p" if len(arms) == 2 else "1 / p"
        notes.append(
            f"shares changed: in effects a request that its arm had with probability p has weight {weight}; the means "
            "of the arms are unweighted, and so mix periods"
        )
    if sums.num_certain:
        notes.append(
            f"{sums.num_certain:,} rewarded requests had no other arm to go to (probability 1): they are left out of "
            "effects"
        )
    if sums.several_rows:
        notes.append(
            f"{sums.several_rows:,} requests have several rows: each counts once, with the mean of its rewards"
        )
    if settings.is_clustered and sums.without_name:
        notes.append(f"{sums.without_name:,} requests have no {settings.key}: each counts as a key of its own")
    if pre_period is not None and not sums.num_matched:
        notes.append(f"CUPED: none of the {len(pre_period.values):,} keys of {pre_period.source} has a reward since")
    if pre_period is not None and pre_period.num_repeated:
        notes.append(
            f"CUPED: {pre_period.num_repeated:,} rows of {pre_period.source} repeat a key: their mean is taken"
        )
    missing = [arm.arm for arm in arms[1:] if arm.arm not in {effect.arm for effect in effects}]
    if missing:
        notes.append(
            f"no effect yet for {', '.join(missing)}: at least {FEWEST_KEYS} keys of it and of {arms[0].arm} with "
            "rewards that vary are needed"
        )
    return notes
