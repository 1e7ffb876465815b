"""Beginnings of cycles: triggers of the policy, orders, and a disk that is full."""

import resource
import subprocess
import sys

import pytest

from lightning_app.retraining.tick import tick
from lightning_app.serving.journal.stores import open_store
from tests.conftest import CONFIGS
from tests.lightning_app.retraining.points import NOW, Points
from tests.lightning_app.serving.journal.records import outcome, prediction

DAY = 86400.0


def test_a_trigger_begins_one_cycle_within_the_limits(points: Points) -> None:
    sections = {
        "triggers": {"labels": 50},
        "data": {"minimum_rows": {"train": 10_000_000}},
        "limits": {"back_off": "1h"},
    }
    policy = points.policy(**sections)
    with points.store():
        pass
    registered = points.registry.versions("points")[0].record.created.timestamp()
    now = registered + 3 * DAY
    assert points.tick(policy, now=now).waits == "a trigger"
    store = open_store(points.journal)
    store.write([prediction(f"l{number}", model="points", time=registered + DAY) for number in range(50)])
    store.feedback([outcome(f"l{number}") for number in range(50)])
    store.close()
    report = points.tick(policy, now=now)
    assert ": triggered: labels: 50 mature labels since the data of points@1, 50 are waited for" in report.changes[0]
    assert (points.cycle().ended is None, points.cycle().spec["trigger"]) == (False, "labels")
    assert points.tick(policy, now=now + DAY).waits == "a trigger"  # the same work is not done again
    with points.store() as cycles:
        assert len([event for event in cycles.events("points") if event.kind == "champion"]) == 1


def test_an_order_is_carried_out_once(points: Points) -> None:
    policy = points.policy(data={"minimum_rows": {"train": 10_000_000}})
    with points.store() as store:
        order = store.note("points", "order", {"who": "anna", "reason": "why not"}, now=NOW)
    report = points.tick(policy)
    assert report.changes[0].endswith(": triggered: by hand, anna: why not")
    assert points.cycle().spec["window"] == f"order {order.number}"
    assert points.tick(policy, now=NOW + 3 * DAY).waits == "a trigger"


def test_tables_of_history_may_be_a_folder_and_one_that_is_missing_is_named(points: Points) -> None:
    tables = points.folder / "tables"
    tables.mkdir()
    (points.folder / "history.parquet").rename(tables / "history.parquet")
    with points.store() as store:
        store.note("points", "order", {"who": "anna", "reason": "why not"}, now=NOW)
    with pytest.raises(ValueError, match=r"data\.history: \S*history\.parquet is neither a file, a folder"):
        points.tick(points.policy())
    needed = {"train": 10_000_000}
    points.tick(points.policy(data={"history": [str(tables)], "minimum_rows": needed}))
    assert "rows for train (data.minimum_rows.train), 10,000,000 are needed" in str(points.cycle().reason)


def test_a_cut_of_a_clock_that_was_set_back_delays_no_trigger(points: Points) -> None:
    policy = points.policy(triggers={"age": "30d", "config": False})
    ahead = NOW + 365 * DAY
    points.exported(policy, now=ahead)
    assert points.tick(policy, now=ahead).changes[-1].split(": ")[1] == "promoted"
    points.tick(policy, now=NOW)
    assert points.tick(policy, now=NOW + 31 * DAY).changes[0].split(": ")[1:3] == ["triggered", "age"]


def test_a_full_disk_ends_the_tick_and_the_next_one_goes_on(points: Points) -> None:
    path = points.policy_file(training={"executor": {"kind": "local", "wait": True}, "attempts": 1})
    with points.store() as store:
        store.note("points", "order", {"who": "anna", "reason": "more rows"}, now=NOW)
    full = subprocess.run(
        [sys.executable, "-m", "lightning_app", "retrain", "tick", "--policy", str(path)],
        cwd=CONFIGS.parent,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (48_000, 48_000)),
        capture_output=True,
        text=True,
    )
    assert full.returncode == 1, full.stdout + full.stderr
    assert points.cycle().state == "triggered"
    report = tick(points.policy(training={"executor": {"kind": "local", "wait": True}, "attempts": 1}))
    assert [line.split(": ")[1] for line in report.changes] == ["frozen", "training", "failed"]
    assert "fit failed with exit code 2" in str(points.cycle().reason)
