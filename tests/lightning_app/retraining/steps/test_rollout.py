"""The way of a version from the gates to the champion: direct, through approval, shadow and canary; and its ends."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from lightning_app.__main__ import main
from lightning_app.serving.experiments.canary.registry_door import Order, carry_out
from lightning_app.serving.journal.stores import open_store
from lightning_app.serving.journal.stores.side_tables import add_shadows
from tests.lightning_app.retraining.points import NOW, Points
from tests.lightning_app.serving.journal.records import outcome, prediction, shadow

DAY = 86400.0
CANARY = {"canary": {"most": "7d"}}
SHADOW = {"shadow": {"requests": 20, "most": "2d", "agreement": 0.5}}
APPROVAL = {"approval": True, "approval_within": "3d"}
SLOW = [pytest.param(rollout, marks=pytest.mark.slow) for rollout in (APPROVAL, SHADOW)]


def door(points: Points, action: Any, version: int = 2) -> None:
    """What the canary of a server does at its end."""
    done = carry_out(
        Order(
            canary="canary:points@2:1", registry=f"sqlite:///{points.folder}/mlflow.db", name="points", version=version,
            champion=1, alias="challenger", gates=None, action=action, reason="1,000 requests", forced=True,
        )
    )  # fmt: skip
    assert done.outcome == "done", done


def test_a_better_version_becomes_champion_once_with_the_cycle_as_its_reason(points: Points) -> None:
    policy = points.policy()
    cycle = points.exported(policy)
    report = points.tick(policy)
    assert [line.split(": ")[1] for line in report.changes] == ["registered", "gated", "promoted"]
    assert points.aliases() == {"champion": 2, "previous": 1}
    entries = list(points.registry.history("points").entries.values())
    assert len(entries) == 2
    assert (entries[-1].reason or "").startswith(f"{cycle.cycle_id}: error -")
    ended = points.cycle()
    assert (ended.state, ended.facts["version"], ended.facts["judgement"]["passed"]) == ("promoted", 2, True)
    assert points.tick(policy).changes == []
    assert points.tick(policy).waits.startswith("cool-down after the promotion, until 2026-04-11")


def test_a_worse_version_is_rejected_with_the_numbers(points: Points) -> None:
    policy = points.policy()
    points.exported(policy, noise=2.0)
    points.tick(policy)
    ended = points.cycle()
    assert (ended.state, ended.facts["version"], points.aliases()) == ("rejected", 2, {"champion": 1})
    assert ended.reason is not None
    assert "not surely better than the champion" in ended.reason
    assert points.tick(policy).waits.startswith("back-off after 1 cycle without promotion")


def test_the_gates_of_the_registry_refuse_too(points: Points) -> None:
    gates = points.folder / "gates.yaml"
    gates.write_text("latency: {max_p50_ms: 0.0001}\n")
    policy = points.policy(gate={"gates": str(gates)})
    points.exported(policy)
    points.tick(policy)
    ended = points.cycle()
    assert ended.state == "rejected"
    assert "1 of 7 gates refuse it: latency (0.01 ms; p50 at most 0.0001 ms)" in str(ended.reason)


def test_the_first_version_is_promoted_without_comparison(registry_folder: Path) -> None:
    points = Points(registry_folder, journal=f"sqlite:///{registry_folder}/journal.db", champion=None)
    policy = points.policy(rollout={**SHADOW, **CANARY})
    points.exported(policy, noise=1.0)
    points.tick(policy)
    assert (points.cycle().state, points.aliases()) == ("promoted", {"champion": 1})


def test_a_candidate_waits_for_approval_and_is_promoted_after_it(
    points: Points, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = points.policy(rollout=APPROVAL)
    cycle = points.exported(policy)
    report = points.tick(policy)
    assert report.waits == f"gated: approval: lightning-app retrain approve {cycle.cycle_id}"
    assert report.until == NOW + 3 * DAY
    policy_file = str(points.folder / "retrain.yaml")
    assert main(["retrain", "status", "--policy", policy_file]) == 0
    assert f"waits for approval: lightning-app retrain approve {cycle.cycle_id}, until 2026-04-0" in (
        capsys.readouterr().out
    )
    assert main(["retrain", "approve", "other", "--policy", policy_file]) == 2
    assert f"cycle: 'other' given, the live cycle of points is {cycle.cycle_id}" in capsys.readouterr().err
    with points.store() as store:
        store.note("points", "approve", {"who": "anna", "reason": "looks good"}, now=NOW, cycle_id=cycle.cycle_id)
    points.tick(policy, now=NOW + DAY)
    assert (points.cycle().state, points.champion()) == ("promoted", 2)


def test_a_candidate_that_nobody_approves_expires(points: Points) -> None:
    policy = points.policy(rollout=APPROVAL)
    points.exported(policy)
    points.tick(policy)
    points.tick(policy, now=NOW + 3 * DAY)
    assert (points.cycle().state, points.cycle().reason) == ("expired", "not approved within 3d")
    assert points.aliases() == {"champion": 1}


@pytest.mark.slow
@pytest.mark.parametrize("rollout", [*SLOW, CANARY])
def test_a_person_ends_a_cycle_wherever_it_is_and_its_version_keeps_no_alias(
    points: Points, rollout: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    policy = points.policy(rollout=rollout)
    cycle = points.exported(policy)
    points.tick(policy)
    words = ["--policy", str(points.folder / "retrain.yaml")]
    assert main(["retrain", "reject", cycle.cycle_id, "--reason", "not now", *words]) == 0
    ended = points.cycle()
    assert (ended.state, points.aliases()) == ("rejected", {"champion": 1})
    assert ended.reason is not None
    assert ended.reason.endswith(": not now")
    assert main(["retrain", "reject", cycle.cycle_id, "--reason", "again", *words]) == 2
    assert f"{cycle.cycle_id} has ended: rejected" in capsys.readouterr().err


def answers(points: Points, digest: str, *, number: int, errors: int = 0) -> None:
    """Answers of the champion, and of a shadow beside them."""
    store = open_store(points.journal)
    rows = [prediction(f"r{place}-{digest[:4]}", model="points", version=1, time=NOW) for place in range(number)]
    store.write(rows)
    store.close()
    with points.store() as cycles:
        add_shadows(
            cycles.database,
            [
                shadow(
                    row.request_id, None if place < errors else row.answer, model="points", version=2, digest=digest,
                    time=NOW + 60, error="it failed" if place < errors else None,
                )
                for place, row in enumerate(rows)
            ],
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("errors", "state"), [(0, "promoted"), (5, "rejected")])
def test_a_shadow_is_compared_when_it_has_answered_enough(points: Points, errors: int, state: str) -> None:
    policy = points.policy(rollout=SHADOW)
    cycle = points.exported(policy)
    assert points.tick(policy).waits == "shadow: shadow: 0 of 20 answers"
    assert points.aliases() == {"champion": 1, "shadow": 2}
    answers(points, cycle.facts["digest"], number=25, errors=errors)
    points.tick(policy, now=NOW + 120)
    ended = points.cycle()
    assert ended.state == state
    assert "shadow" not in points.aliases()
    assert (points.champion() == 2) == (state == "promoted")
    if errors:
        assert ended.reason is not None
        assert ended.reason.startswith("shadow: 25 answers, 20.00% failed")
        assert "at most 1.00% may fail" in ended.reason


@pytest.mark.slow
def test_a_shadow_without_a_server_expires_and_gives_its_alias_back(points: Points) -> None:
    policy = points.policy(rollout=SHADOW)
    points.exported(policy)
    points.tick(policy)
    points.tick(policy, now=NOW + 2 * DAY)
    assert (points.cycle().state, points.aliases()) == ("expired", {"champion": 1})
    assert "0 of 20 answers after 2d; is a server with `shadow:` running?" in str(points.cycle().reason)


def test_a_canary_that_the_server_ends_well_promotes(points: Points) -> None:
    policy = points.policy(rollout=CANARY)
    points.exported(policy)
    report = points.tick(policy)
    assert (report.waits, report.until) == (
        "canary: the canary of the server: lightning-app experiment list",
        NOW + 7 * DAY,
    )
    assert points.aliases() == {"champion": 1, "challenger": 2}
    door(points, "promote")
    points.tick(policy, now=NOW + DAY)
    assert (points.cycle().state, points.champion()) == ("promoted", 2)
    assert "canary:points@2:1: 1,000 requests" in str(points.cycle().reason)


@pytest.mark.slow
def test_a_version_that_is_rolled_back_is_quarantined_until_there_are_fresh_mature_labels(points: Points) -> None:
    policy = points.policy(rollout=CANARY, limits={"back_off": "1h", "cool_down": "1h"})
    cycle = points.exported(policy)
    points.tick(policy)
    door(points, "roll_back")
    points.tick(policy, now=NOW + DAY)
    ended = points.cycle()
    assert (ended.state, points.aliases()) == ("rolled_back", {"champion": 1})
    later = NOW + 3 * DAY
    assert points.tick(policy, now=later).waits == (
        "labels from after the rollback of 2026-04-05 08:00 UTC: 0 of 100 are mature"
    )
    store = open_store(points.journal)
    store.write([prediction(f"f{number}", model="points", time=NOW + 1.5 * DAY) for number in range(100)])
    store.feedback([replace(outcome(f"f{number}"), time=NOW + 2 * DAY) for number in range(100)])
    store.close()
    assert points.tick(policy, now=later).waits == "a trigger"
    with points.store() as cycles:
        from lightning_app.retraining.steps.quarantine import quarantine_of

        held = quarantine_of(cycles, "points")
    assert (set(held.versions), set(held.frozen)) == ({2}, {cycle.facts["frozen"]})


@pytest.mark.slow
def test_a_champion_that_is_rolled_back_later_is_quarantined_too(points: Points) -> None:
    policy = points.policy(limits={"back_off": "1h", "cool_down": "1h"})
    points.exported(policy)
    points.tick(policy)
    points.registry.rollback("points", reason="complaints")
    report = points.tick(policy, now=NOW + DAY)
    assert len(report.changes) == 1
    assert report.changes[0].startswith("points: rolled_back: points@2 was rolled back: ")
    assert report.changes[0].endswith(": complaints")
    assert points.tick(policy, now=NOW + 3 * DAY).waits.startswith("labels from after the rollback of")


@pytest.mark.slow
def test_a_canary_without_an_end_expires_unless_it_was_promoted_in_the_last_moment(points: Points) -> None:
    policy = points.policy(rollout=CANARY)
    points.exported(policy)
    points.tick(policy)
    points.tick(policy, now=NOW + 7 * DAY)
    assert (points.cycle().state, points.aliases()) == ("expired", {"champion": 1})
    points.exported(policy, now=NOW + 8 * DAY)
    points.tick(policy, now=NOW + 8 * DAY)
    door(points, "promote", version=3)
    points.tick(policy, now=NOW + 30 * DAY)
    assert (points.cycle().state, points.champion()) == ("promoted", 3)


@pytest.mark.parametrize("rollout", [{}, *SLOW, CANARY])
def test_a_champion_that_was_changed_by_hand_ends_the_cycle(points: Points, rollout: dict[str, Any]) -> None:
    policy = points.policy(rollout=rollout)
    points.exported(policy)
    if rollout:
        points.tick(policy)
    points.make_champion(0.5)
    points.tick(policy)
    ended = points.cycle()
    assert ended.state == "expired"
    assert str(ended.reason).startswith("the champion has changed meanwhile: version ")
    assert set(points.aliases()) == {"champion", "previous"}


@pytest.mark.slow
def test_a_challenger_of_somebody_else_is_not_displaced(points: Points) -> None:
    policy = points.policy(rollout=CANARY)
    other = points.registry.register(points.package(0.7), "points")
    points.registry.promote(f"points@{other}", to="challenger", force="an experiment")
    points.exported(policy)
    assert points.tick(policy).waits == f"gated: points@{other} is challenger; withdraw it, or let it end"
    points.registry.withdraw(f"points@{other}", alias="challenger")
    points.tick(policy)
    assert points.aliases() == {"champion": 1, "challenger": 3}
