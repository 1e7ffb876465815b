"""Retraining without drift: how often the gate promotes a candidate that is no better, and what that costs in power."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from benchmarks.page import table, verdict
from benchmarks.retraining.linear_world import LinearModel, LinearWorld, fit
from lightning_app.retraining.gate import Judgement, Look, judge

MONTHS, HISTORIES, TRAIN = 200, 20, 3
ALPHA = 0.05
_FIRST_SEED = 500_000
"""Seeds from 0 and from 70,000 were looked at while the rule of the gate was chosen."""
Rule = Callable[[Judgement], bool]
RULES: dict[str, Rule] = {
    "gate of the cycle": lambda judgement: judgement.passed,
    "p <= 0.05 every month": lambda judgement: judgement.p_value <= ALPHA,
    "lower mean error": lambda judgement: (judgement.ratio or 1.0) < 1,
}
WEIGHTED: Rule = lambda judgement: judgement.p_value <= ALPHA * 6 / (math.pi * judgement.number) ** 2  # noqa: E731


def retraining_without_drift(histories: int = HISTORIES, months: int = MONTHS) -> str:
    """Wrong promotions in 200 months without drift, and months until a real drift is followed."""
    rows = []
    for name, rule in RULES.items():
        found = [undrifted(rule, _FIRST_SEED + number, months) for number in range(histories)]
        promoted, wrong = np.array(found).sum(axis=0)
        share = wrong / (histories * months)
        any_wrong = float(np.mean([one > 0 for _, one in found]))
        aim = f"<= 5 %: {verdict(share <= ALPHA and any_wrong <= ALPHA)}" if name == next(iter(RULES)) else ""
        rows.append(f"{name}|{promoted:,}|{wrong:,}|{share:.2%}|{any_wrong:.0%}|{aim}")
    power = []
    for before in (0, 12, 100):
        for growth in (0.02, 0.05, 0.1):
            cells = [f"{before}", f"+{growth:.0%}"]
            for rule in (RULES["gate of the cycle"], WEIGHTED, RULES["p <= 0.05 every month"]):
                waits = [
                    months_until_followed(rule, growth, _FIRST_SEED + number, before=before)
                    for number in range(histories)
                ]
                cells.append(f"{np.mean(waits):.1f}")
            power.append("|".join(cells))
    return (
        f"{histories} histories of {months} months of 720 hourly rows without drift, errors correlated from hour to "
        f"hour. Each month a linear model is fitted to the {TRAIN} months before the last one, and compared with the "
        "champion on the last one by `judge`. Every model's true error is known: wrong is a promotion of one that is "
        "no better than the champion.\n\n"
        + table("|promotions|wrong|of all months|histories with a wrong one|aim", *rows)
        + "\n\nMonths until a candidate is promoted after a drift by which the champion's error grows, at most 60; beside "
        "it alpha spent as 6 / (pi i)^2 alone.\n\n"
        + table("rejected before|error|gate of the cycle|6 / (pi i)^2|p <= 0.05", *power)
    )


def undrifted(rule: Rule, seed: int, months: int) -> tuple[int, int]:
    """Promotions, and wrong ones among them, of a history without drift.

    Args:
        rule: What is promoted.
        seed: Random seed.
        months: Number of months.
    """
    world = LinearWorld(seed)
    seen = [world.month() for _ in range(TRAIN + 1)]
    champion, looks, promoted, wrong = fit(seen[:TRAIN]), list[Look](), 0, 0
    for _ in range(months):
        seen = [*seen[1:], world.month()]
        candidate = fit(seen[:TRAIN])
        if _passes(rule, champion, candidate, seen, looks):
            promoted += 1
            wrong += candidate.risk(world.truth) >= champion.risk(world.truth)
            champion, looks = candidate, []
    return promoted, wrong


def months_until_followed(rule: Rule, growth: float, seed: int, *, before: int, most: int = 60) -> int:
    """Months from a drift to a promotion.

    Args:
        rule: What is promoted.
        growth: By which share the champion's error grows.
        seed: Random seed.
        before: Candidates that were rejected before.
        most: Months after which nothing more is waited for.
    """
    world, random = LinearWorld(seed), np.random.default_rng(seed)
    seen = [world.month() for _ in range(TRAIN + 1)]
    champion, looks = fit(seen[:TRAIN]), [Look(p_value=p_value) for p_value in random.uniform(0.05, 1, before)]
    world.drift(growth)
    for number in range(1, most + 1):
        seen = [*seen[1:], world.month()]
        if _passes(rule, champion, fit(seen[:TRAIN]), seen, looks):
            return number
    return most


def _passes(
    rule: Rule, champion: LinearModel, candidate: LinearModel, seen: Sequence[pl.DataFrame], looks: list[Look]
) -> bool:
    judgement = judge(champion.package, candidate.package, seen[-1], label="y", alpha=ALPHA, earlier=looks).judgement
    looks.append(judgement.look)
    return rule(judgement)


SECTIONS: dict[str, Callable[[], str]] = {"retraining_without_drift": retraining_without_drift}
