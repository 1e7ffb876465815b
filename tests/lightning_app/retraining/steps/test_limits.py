"""Limits of a policy, orders of persons, clocks that jump, and what a tick does while something is down."""

import os
from pathlib import Path
from typing import Any

import pytest

from lightning_app.__main__ import main
from lightning_app.retraining.steps.context import Context
from lightning_app.retraining.steps.limits import limit
from tests.lightning_app.retraining.points import NOW, Points

HOUR, DAY = 3600.0, 86400.0


def waits(points: Points, now: float, *, by_hand: bool = False, **limits: object) -> str | None:
    """What a new cycle waits for at a time."""
    policy = points.policy(limits=limits)
    with points.store() as store:
        wait = limit(Context(policy=policy, database=store.database, now=now), by_hand=by_hand)
    return None if wait is None else wait.words


def test_after_a_promotion_comes_a_cool_down_and_after_other_ends_a_back_off_that_doubles(points: Points) -> None:
    policy = points.policy()
    points.ended(policy, "promoted", now=NOW)
    assert waits(points, NOW + 7 * DAY) is None
    assert str(waits(points, NOW + 6.9 * DAY)).startswith("cool-down after the promotion")
    assert waits(points, NOW + HOUR, by_hand=True) is None
    points.ended(policy, "rejected", now=NOW + 10 * DAY)
    assert str(waits(points, NOW + 10.9 * DAY)).startswith("back-off after 1 cycle without promotion")
    assert waits(points, NOW + 11 * DAY) is None
    points.ended(policy, "expired", now=NOW + 20 * DAY)
    assert str(waits(points, NOW + 21.9 * DAY)).startswith("back-off after 2 cycles without promotion")
    assert waits(points, NOW + 22 * DAY) is None
    points.ended(policy, "promoted", now=NOW + 30 * DAY)
    points.ended(policy, "rejected", now=NOW + 31 * DAY)
    assert str(waits(points, NOW + 36.9 * DAY)).startswith("cool-down after the promotion")
    assert waits(points, NOW + 37 * DAY) is None


def test_cycles_and_minutes_of_a_week_are_limited(points: Points) -> None:
    policy = points.policy()
    for day in (0, 2, 4):
        points.ended(policy, "rejected", now=NOW + day * DAY)
    free: dict[str, Any] = {"back_off": "1s", "cool_down": "1s"}
    assert str(waits(points, NOW + 5 * DAY, **free)).startswith("limits.cycles_per_week (3), until ")
    assert waits(points, NOW + 7.1 * DAY, **free) is None
    used = waits(points, NOW + 5 * DAY, by_hand=True, device_minutes=90)
    assert used == "limits.device_minutes (90 in 7 days) is used up"
    assert waits(points, NOW + 5 * DAY, by_hand=True, device_minutes=91) is None


def test_failed_cycles_in_a_row_halt_until_a_person_resumes(points: Points, capsys: pytest.CaptureFixture[str]) -> None:
    policy = points.policy()
    for day in range(3):
        points.ended(policy, "failed", now=NOW + day * DAY)
    words = "halted after 3 failed cycles in a row: lightning-app retrain trigger --resume"
    assert waits(points, NOW + 90 * DAY) == waits(points, NOW + 90 * DAY, by_hand=True) == words
    path = str(points.policy_file(data={"minimum_rows": {"train": 10_000_000}}))
    assert main(["retrain", "trigger", "--policy", path, "--reason", "try"]) == 0
    assert "waits for halted after 3 failed cycles in a row" in capsys.readouterr().out
    assert main(["retrain", "trigger", "--policy", path, "--reason", "repaired", "--resume"]) == 0
    said = capsys.readouterr().out
    assert ": rejected: frozen: 1,640 rows for train (data.minimum_rows.train), 10,000,000 are needed" in said
    assert main(["retrain", "status", "--policy", path]) == 0
    assert ": rejected: frozen: 1,640 rows for train" in capsys.readouterr().out


def test_a_clock_that_is_set_back_makes_no_wait_longer_than_it_was(points: Points) -> None:
    policy = points.policy(rollout={"approval": True, "approval_within": "3d"})
    points.exported(policy, now=NOW + 300 * DAY)
    points.tick(policy, now=NOW + 300 * DAY)
    report = points.tick(policy, now=NOW)
    assert report.changes == ["points: clock: set back by 25920000 s; waits begin anew"]
    assert report.until == NOW + 3 * DAY
    points.tick(policy, now=NOW + 3 * DAY)
    assert points.cycle().state == "expired"


@pytest.mark.slow
def test_while_the_registry_is_away_a_cycle_waits_and_fails_in_the_end(points: Points) -> None:
    policy = points.policy()
    points.exported(policy)
    (points.folder / "mlflow.db").rename(points.folder / "away.db")
    for hour in (0, 23):
        report = points.tick(policy, now=NOW + hour * HOUR)
        assert str(report.failure).startswith("exported: ")
        assert points.cycle().state == "exported"
    (points.folder / "away.db").rename(points.folder / "mlflow.db")
    points.tick(policy, now=NOW + 24 * HOUR)
    assert points.cycle().state == "promoted"


def test_a_step_that_fails_for_too_long_ends_its_cycle(points: Points) -> None:
    policy = points.policy(limits={"retry_for": "2h"})
    points.exported(policy)
    (points.folder / "mlflow.db").rename(points.folder / "away.db")
    points.tick(policy, now=NOW)
    report = points.tick(policy, now=NOW + 2 * HOUR)
    assert report.failure is not None  # how it ends is known; its version is looked for when the registry is back
    (points.folder / "away.db").rename(points.folder / "mlflow.db")
    points.tick(policy, now=NOW + 3 * HOUR)
    ended = points.cycle()
    assert (ended.state, points.aliases()) == ("failed", {"champion": 1})
    assert str(ended.reason).startswith("exported: failing for 2h: ")


@pytest.mark.skipif(os.getuid() == 0, reason="the superuser writes everywhere")
def test_a_folder_that_cannot_be_written_is_said_and_tried_again(points: Points) -> None:
    folder = points.folder / "retraining"
    folder.mkdir()
    folder.chmod(0o500)
    assert main(["retrain", "tick", "--policy", str(points.policy_file())]) == 1


@pytest.mark.slow
def test_the_journal_away_is_an_error_of_the_tick_and_loses_nothing(
    points: Points, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = points.policy(rollout={"approval": True})
    points.exported(policy)
    points.tick(policy)
    away = points.folder / "away"
    away.mkdir()
    for file in points.folder.glob("journal.db*"):
        file.rename(away / file.name)
    path = str(points.folder / "retrain.yaml")
    assert main(["retrain", "status", "--policy", path]) == 2
    assert "journal.db does not exist; it is the journal of the policy" in capsys.readouterr().err
    assert main(["retrain", "tick", "--policy", path]) == 2
    assert "journal.db does not exist" in capsys.readouterr().err
    assert not (points.folder / "journal.db").exists()
    for file in away.iterdir():
        file.rename(points.folder / file.name)
    assert points.tick(policy).waits.startswith("gated: approval")


def test_two_ticks_at_once_are_one(points: Points, capsys: pytest.CaptureFixture[str]) -> None:
    from lightning_app.retraining.cycles import tick_lease

    path = points.policy_file()
    with points.store() as store:
        folder = Path(points.policy().folder) / "points"
        with tick_lease(store.database, url=points.journal, model="points", folder=folder):
            assert main(["retrain", "tick", "--policy", str(path)]) == 0
    assert capsys.readouterr().out == "points: another tick is running on this machine\n"


def test_history_and_json_say_what_happened(points: Points, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    policy = points.policy()
    cycle = points.exported(policy)
    points.tick(policy)
    path = str(points.folder / "retrain.yaml")
    assert main(["retrain", "history", "--policy", path]) == 0
    table = capsys.readouterr().out
    assert cycle.cycle_id in table
    assert "promoted" in table
    assert main(["retrain", "history", cycle.cycle_id, "--json", "--policy", path]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [event["kind"] for event in content["events"]] == [
        "triggered",
        "exported",
        "registered",
        "gated",
        "promoted",
    ]
    assert main(["retrain", "status", "--json", "--policy", path]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["live"], status["last"]["state"], status["last"]["version"]) == (None, "promoted", 2)
    assert main(["retrain", "history", "none", "--policy", path]) == 2
    assert "points has no cycle 'none'; it has 1" in capsys.readouterr().err
