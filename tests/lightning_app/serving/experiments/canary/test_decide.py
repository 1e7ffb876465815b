"""Decisions of a canary, from counts alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from benchmarks.experiments.simulated_traffic import Challenger, World, simulate
from lightning_app.serving.config.experiment_config import CanaryConfig, Margins, RewardConfig
from lightning_app.serving.experiments.canary.decide import Look, decide, share_of
from lightning_app.serving.experiments.canary.evidence import ArmTotals, Evidence
from lightning_app.serving.experiments.canary.picture import canary_picture
from lightning_app.serving.experiments.canary.state import CanaryState, Request
from lightning_app.serving.experiments.sequential.mean_difference import Moments
from lightning_app.serving.journal.arm_count import LATENCY_BOUNDS_MS

CONFIG = CanaryConfig(min_requests=100, min_seconds=60, max_seconds=3600)
START = CanaryState(
    model="phase", registered="phase", version=2, digest="b", champion=1, champion_digest="a", started=0, step_started=0
)
SHARES = (0.01, 0.05, 0.25, 0.5, 1.0)


def latencies(count: int, slow: int = 0) -> list[int]:
    """So many answers around 8 ms, in two bins; the slow ones far above."""
    bins = [0] * (len(LATENCY_BOUNDS_MS) + 1)
    bins[45], bins[47], bins[60] = (count - slow) // 2, count - slow - (count - slow) // 2, slow
    return bins


def evidence(
    steps: int,
    *,
    requests: int = 150,
    failures: Sequence[int] = (),
    slow: Sequence[int] = (),
    rewards: dict[tuple[str, float], Moments] | None = None,
) -> Evidence:
    """So many requests of the challenger in each of the first steps; failures and slow answers of it by step."""
    counted = {}
    for place, share in enumerate(SHARES[:steps]):
        failed = failures[place] if place < len(failures) else 0
        late = slow[place] if place < len(slow) else 0
        counted["challenger", share] = ArmTotals(requests, failed, latencies(requests - failed, late))
        if share < 1:
            others = round(requests * (1 - share) / share)
            counted["champion", 1 - share] = ArmTotals(others, others // 1000, latencies(others - others // 1000))
    return Evidence(requests=counted, bounds=LATENCY_BOUNDS_MS, rewards=rewards or {})


def walk(looks: Sequence[Evidence], config: CanaryConfig = CONFIG, *, seconds: float = 61.0) -> Look:
    """Looks one after the other, `seconds` apart."""
    state, now = START, 0.0
    for seen in looks:
        now += seconds
        look = decide(config, state, seen, now=now)
        state = msgspec.json.decode(msgspec.json.encode(look.state), type=CanaryState)  # as a restart would read it
        assert state == look.state
        if state.verdict is not None:
            break
    return look


def test_a_good_challenger_goes_step_by_step_and_is_promoted() -> None:
    looks = [evidence(steps) for steps in (1, 2, 3, 4)]
    assert [walk(looks[:count]).state.step for count in (1, 2, 3, 4)] == [1, 2, 3, 4]
    assert share_of(CONFIG, walk(looks).state) == 1.0
    end = walk([*looks, evidence(5)]).state
    assert end.verdict is not None
    assert (end.verdict.action, end.verdict.status) == ("promote", "promoted")
    assert "it saw 750 of" in end.verdict.reason
    assert share_of(CONFIG, end) == 1.0


@pytest.mark.parametrize(
    ("seen", "seconds", "words"),
    [
        (evidence(1, requests=80), 61.0, "80 of 100 requests"),
        (evidence(1), 30.0, "30 of 60 s"),
        (evidence(1, failures=[2]), 61.0, "errors may be worse"),
    ],
)
def test_a_step_lasts_until_there_is_enough(seen: Evidence, seconds: float, words: str) -> None:
    look = walk([seen], seconds=seconds)
    assert look.state.step == 0
    assert words in look.waiting


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"failures": [0, 8]}, "errors"), ({"slow": [0, 90]}, "latency")],
)
def test_a_bad_challenger_is_taken_back_with_numbers_in_the_reason(changes: dict[str, Any], name: str) -> None:
    state = walk([evidence(1), evidence(2, **changes)]).state
    assert state.verdict is not None
    assert (state.verdict.action, state.verdict.status) == ("roll_back", "rolled_back")
    assert state.verdict.reason.startswith(name)
    assert "at 5 %" in state.verdict.reason
    assert "it saw 300 of" in state.verdict.reason
    assert share_of(CONFIG, state) == 0.0


@pytest.mark.parametrize(
    ("changes", "name"), [({"failures": [0] * 4 + [20]}, "errors alone"), ({"slow": [0] * 4 + [80]}, "latency alone")]
)
def test_what_breaks_only_under_all_requests_is_taken_back_at_the_last_step(changes: dict[str, Any], name: str) -> None:
    state = walk([*(evidence(steps) for steps in (1, 2, 3, 4)), evidence(5, **changes)]).state
    assert state.verdict is not None
    assert state.verdict.action == "roll_back"
    assert state.verdict.reason.startswith(name)


def rewards(mean: float, count: int) -> dict[tuple[str, float], Moments]:
    """Rewards at one half: the champion's mean is 1, their deviation 1."""
    return {
        ("challenger", 0.5): Moments(count, mean * count, (mean**2 + 1) * count),
        ("champion", 0.5): Moments(count, count, 2 * count),
    }


@pytest.mark.parametrize(
    ("mean", "count", "status"),
    [(1.0, 2_000, None), (1.0, 40_000, "on"), (0.9, 40_000, "rolled_back"), (0.97, 40_000, None)],
)
def test_with_rewards_the_last_step_needs_evidence_that_they_are_kept(
    mean: float, count: int, status: str | None
) -> None:
    config = replace(CONFIG, reward=RewardConfig(kind="continuous", high=20))
    looks = [evidence(1), evidence(2), evidence(3), evidence(4, rewards=rewards(mean, count))]
    look = walk(looks, config)
    if status == "rolled_back":
        assert look.state.verdict is not None
        assert look.state.verdict.reason.startswith("reward worse than tolerated at 50 %: mean reward 0.9 against 1")
    else:
        assert look.state.verdict is None
        assert look.state.step == (4 if status == "on" else 3)
        assert ("reward is kept" in look.waiting) == (status is None)


def test_rewards_are_compared_above_the_least_one() -> None:
    """From 9.9 instead of 10 is a loss of 10 % where 9 is the least reward."""
    config = replace(CONFIG, reward=RewardConfig(kind="continuous", low=9, high=20))
    count = 40_000
    seen = {
        ("challenger", 0.5): Moments(count, 9.9 * count, (9.9**2 + 1) * count),
        ("champion", 0.5): Moments(count, 10 * count, 101 * count),
    }
    look = walk([evidence(1), evidence(2), evidence(3), evidence(4, rewards=seen)], config)
    assert look.reward is not None
    assert look.reward.relative == pytest.approx(-0.1)
    assert look.state.verdict is not None


@pytest.mark.parametrize(("on_expiry", "action"), [("roll_back", "roll_back"), ("keep", "keep")])
def test_what_was_not_shown_to_be_no_worse_in_time_is_not_promoted(on_expiry: Any, action: str) -> None:
    config = replace(CONFIG, on_expiry=on_expiry)
    state = walk([evidence(1, requests=20)] * 2, config, seconds=2_000).state
    assert state.verdict is not None
    assert (state.verdict.action, state.verdict.status) == (action, "expired")
    assert "20 of 100 requests" in state.verdict.reason
    assert share_of(config, state) == 0.0


@pytest.mark.parametrize("action", ["promote", "roll_back"])
def test_a_person_decides_whatever_was_measured(action: Any) -> None:
    state = replace(START, request=Request(action=action, reason="release party", who="ann@host"))
    verdict = decide(CONFIG, state, evidence(1), now=5).state.verdict
    assert verdict is not None
    assert (verdict.action, verdict.forced) == (action, True)
    assert verdict.reason.startswith("ann@host: release party")


def test_a_verdict_stays() -> None:
    state = walk([evidence(1), evidence(2, failures=[0, 8])]).state
    assert decide(CONFIG, state, evidence(5), now=1e6).state == state


@pytest.mark.parametrize(
    ("challenger", "status"),
    [
        (Challenger(), "promoted"),
        (Challenger(errors=0.02), "rolled_back"),
        (Challenger(latency=1.5), "rolled_back"),
        (Challenger(reward=0.9), "rolled_back"),
    ],
)
def test_simulated_canaries_end_as_they_should(challenger: Challenger, status: str) -> None:
    config = CanaryConfig(
        min_seconds=100,
        max_seconds=20_000,
        margins=Margins(reward=0.05),
        reward=RewardConfig(kind="continuous", high=20),
    )
    for seed in range(4):
        outcome = simulate(config, World(), challenger, seed=seed, tick_seconds=20)
        assert outcome.look.state.verdict is not None
        assert outcome.look.state.verdict.status == status
        kinds = [kind for _, kind, _ in outcome.events]
        assert kinds[-1] == "verdict"
        assert len(kinds) < 400


@pytest.mark.usefixtures("rendered")
def test_a_canary_is_drawn_from_its_events(tmp_path: Path) -> None:
    outcome = simulate(
        CanaryConfig(reward=RewardConfig(kind="continuous", high=20)), World(), Challenger(reward=0.8), seed=0,
        tick_seconds=20,
    )  # fmt: skip
    events = msgspec.json.decode(msgspec.json.encode(outcome.events))
    figure = canary_picture(events, title="a bad challenger")
    figure.savefig(tmp_path / "canary.png")
    assert [text.get_text() for text in figure.axes[0].texts] == ["rolled back"]
    assert len(figure.axes) == 3
    with pytest.raises(ValueError, match="no look"):
        canary_picture(events[:0], title="nothing")
