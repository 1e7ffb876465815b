"""Event tests hold their alpha however often one looks, and see what is worse."""

import math

import numpy as np
import pytest

from lightning_app.serving.experiments.sequential.event_test import (
    StratumEvents,
    exceedance_log_e_value,
    rate_log_e_value,
)

STEPS = (0.01, 0.05, 0.25, 0.5)
ALPHA = 0.05


def share_ended(
    champion: float,
    challenger: float,
    *,
    runs: int,
    margin: float = 0.0,
    rate: float | None = None,
    drift: float = 1.0,
    looks: int = 12,
    requests: int = 2000,
) -> float:
    """Share of canaries that the test ends, looking `looks` times per step; rates are multiplied by drift per step."""
    rng = np.random.default_rng(1)
    ended = 0
    for _ in range(runs):
        done: list[StratumEvents] = []
        crossed, factor = False, 1.0
        for step in STEPS:
            counts = np.zeros(4)
            for _ in range(looks):
                own = rng.binomial(requests, step)
                events, others = rng.binomial([own, requests - own], np.array([challenger, champion]) * factor)
                counts += [events, others, own - events, requests - own - others]
                strata = [*done, StratumEvents(step, *counts)]
                log_e = (
                    rate_log_e_value(strata, margin=margin)
                    if rate is None
                    else exceedance_log_e_value(strata, rate=rate)
                )
                crossed |= log_e >= -math.log(ALPHA)
            done, factor = strata, factor * drift
            if crossed:
                break
        ended += crossed
    return ended / runs


@pytest.mark.parametrize(
    ("champion", "challenger", "options"),
    [
        (0.001, 0.001, {}),  # rare: most steps have no event of the challenger
        (0.3, 0.3, {}),
        (0.02, 0.022, {"margin": 0.1}),  # just what is tolerated
        (0.01, 0.01, {"drift": 3.0}),  # Simpson: later steps, with more of the challenger, have more errors
        (0.5, 0.5, {"rate": 0.5}),
        (0.2, 0.2, {"rate": 0.5, "drift": 1.3}),  # the rate is not what was thought
        (0.5, 0.3, {"rate": 0.5}),
    ],
)
def test_continuous_looking_ends_arms_that_are_no_worse_with_at_most_alpha(
    champion: float, challenger: float, options: dict[str, float]
) -> None:
    assert share_ended(champion, challenger, runs=150, **options) <= ALPHA


@pytest.mark.parametrize(
    ("champion", "challenger", "options"),
    [(0.001, 0.02, {"margin": 0.1}), (0.0, 0.01, {}), (0.1, 0.39, {"rate": 0.1}), (0.5, 0.8, {"rate": 0.5})],
)
def test_arms_that_are_worse_are_ended(champion: float, challenger: float, options: dict[str, float]) -> None:
    assert share_ended(champion, challenger, runs=40, **options) == 1.0


def test_the_expectation_of_an_e_value_is_one_for_arms_alike_and_less_within_the_margin() -> None:
    """The exact sum over all outcomes of four events in two strata."""
    total = within = 0.0
    for one in range(3):
        for other in range(3):
            strata = [StratumEvents(0.1, one, 2 - one, 0, 0), StratumEvents(0.5, other, 2 - other, 0, 0)]
            chance = math.comb(2, one) * 0.1**one * 0.9 ** (2 - one) * math.comb(2, other) * 0.5**2
            total += chance * math.exp(rate_log_e_value(strata))
            within += chance * math.exp(rate_log_e_value(strata, margin=0.5))
    assert total == pytest.approx(1.0)
    assert within < 1.0


def test_requests_that_only_one_arm_could_answer_say_nothing() -> None:
    alone = [StratumEvents(0.0, 0, 50, 0, 50), StratumEvents(1.0, 90, 0, 10, 0)]
    assert rate_log_e_value(alone) == exceedance_log_e_value(alone, rate=0.5) == rate_log_e_value([]) == 0.0
