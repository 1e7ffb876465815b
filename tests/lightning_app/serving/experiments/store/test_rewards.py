import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_app.serving.config.experiment_config import RewardConfig
from lightning_app.serving.experiments.store import (
    ExperimentStore,
    RewardReader,
)
from lightning_app.serving.journal.stores import open_database, open_store
from tests.lightning_app.serving.experiments.store.rewards import chosen, reward
from tests.lightning_app.serving.journal.records import outcome, prediction


def ids(reader: RewardReader) -> list[str]:
    return [rewarded.request_id for rewarded in reader.new()]


def test_each_reward_is_read_once_and_by_who_goes_on(journal_url: str) -> None:
    store, database = open_store(journal_url), open_database(journal_url)
    store.write([chosen("before"), chosen("a", arm="b", degraded="breaker", entity="e1"), chosen("two", num_rows=2)])
    store.write([prediction("elsewhere", experiment="other"), prediction("none")])
    reader = RewardReader(database, "prices", with_body=True)
    assert ids(reader) == []
    store.feedback([reward("a", 0.5), reward("elsewhere", 1), reward("none", 1), outcome("two", b"1", row=1)])
    (rewarded,) = reader.new()
    assert (rewarded.request_id, rewarded.arm, rewarded.probability, rewarded.reward) == ("a", "b", 0.5, 0.5)
    assert (rewarded.entity, rewarded.degraded, rewarded.row) == ("e1", "breaker", 0)
    assert (rewarded.body, rewarded.content_type) == (b'{"records":[{"age":41,"city":"Bern"}]}', "application/json")
    assert rewarded.outcome_time >= rewarded.time
    assert ids(reader) == []
    position = reader.position
    store.feedback([reward("two", 1), reward("before", 0)])
    assert ids(reader) == ["two", "before"]
    assert ids(RewardReader(database, "prices", position=position)) == ["two", "before"]
    assert ids(RewardReader(database, "prices")) == ["a", "two", "before"]


def test_a_reward_that_comes_before_its_prediction_is_read_when_that_is_there(journal_url: str) -> None:
    store, database = open_store(journal_url), open_database(journal_url)
    reader = RewardReader(database, "prices")
    assert store.feedback([reward("spilled", 1), reward("spilled", 0, row=1)]) == ["unknown", "unknown"]
    assert ids(reader) == []
    store.write([chosen("now")])
    store.feedback([reward("now", 1)])
    assert ids(reader) == ["now"]
    store.write([chosen("spilled", num_rows=2), chosen("unrewarded")])
    assert ids(reader) == ["spilled", "spilled"]
    assert ids(reader) == []
    store.feedback([reward("unrewarded", 1)])
    assert ids(reader) == ["unrewarded"]


def test_rewards_that_are_late_or_out_of_range_are_left_out_and_counted(journal_url: str) -> None:
    store, database = open_store(journal_url), open_database(journal_url)
    store.write([chosen("good"), chosen("late"), chosen("high"), chosen("half")])
    store.feedback([reward("good", 1), reward("late", 1, late=100), reward("high", 7), reward("half", 0.5)])
    binary = RewardConfig(within_seconds=50)
    continuous = RewardConfig(kind="continuous", low=0, high=2, within_seconds=50)
    for limits, counted, out_of_range in ((binary, ["good"], 2), (continuous, ["good", "half"], 1)):
        reader = RewardReader(database, "prices", limits=limits)
        assert ids(reader) == counted
        assert (reader.num_expired, reader.num_out_of_range) == (1, out_of_range)


def test_what_is_left_out_is_counted_with_the_position_also_by_who_stops_within_a_part(journal_url: str) -> None:
    store, database = open_store(journal_url), open_database(journal_url)
    store.write([chosen("late"), chosen("good")])
    store.feedback([reward("late", 1, late=100), reward("good", 1)])
    reader = RewardReader(database, "prices", limits=RewardConfig(within_seconds=50))
    before = reader.position
    assert next(reader.new()).request_id == "good"
    assert (reader.position.outcomes, reader.num_expired) == (before.outcomes, 0)
    again = RewardReader(database, "prices", limits=RewardConfig(within_seconds=50), position=reader.position)
    assert (ids(again), again.num_expired) == (["good"], 1)


WRITE = """
import sys
from lightning_app.serving.journal.stores import open_store
from tests.lightning_app.serving.experiments.store.rewards import chosen, reward
store = open_store(sys.argv[1])
for batch in range(25):
    ids = [f"{sys.argv[2]}-{batch}-{i}" for i in range(8)]
    # Every other time the reward comes first.
    first, second = store.write, store.feedback
    for kind in (0, 1) if batch % 2 else (1, 0):
        if kind:
            store.write([chosen(one) for one in ids])
        else:
            store.feedback([reward(one, 1) for one in ids])
"""


def test_rewards_that_several_processes_write_are_read_once_each_while_they_do(journal_url: str) -> None:
    open_store(journal_url).close()
    command = [sys.executable, "-c", WRITE, journal_url]
    processes = [subprocess.Popen([*command, f"p{number}"], cwd=Path(__file__).parents[5]) for number in range(3)]
    reader = RewardReader(open_database(journal_url), "prices")
    reader._part_size = 7
    read: list[str] = []
    while any(process.poll() is None for process in processes):
        read += ids(reader)
        time.sleep(0.002)
    assert [process.wait() for process in processes] == [0] * 3
    read += ids(reader) + ids(reader)
    assert len(read) == len(set(read)) == 3 * 25 * 8


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["prediction", "outcome", "read", "restart"]), st.integers(0, 5)), max_size=40),
    st.integers(1, 3),
)
def test_in_whatever_order_things_happen_each_reward_is_read_once(steps: list[tuple[str, int]], part_size: int) -> None:
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/journal.db"
        store, database = open_store(url), open_database(url)
        reader = RewardReader(database, "prices")
        read: list[str] = []
        done: dict[str, set[str]] = {"prediction": set(), "outcome": set()}
        for kind, number in [*steps, ("read", 0)]:
            reader._part_size = part_size
            if kind == "prediction":
                store.write([chosen(f"r{number}")])
            elif kind == "outcome":
                store.feedback([reward(f"r{number}", 1)])
            elif kind == "restart":
                reader = RewardReader(database, "prices", position=reader.position)
            else:
                read += ids(reader)
            if kind in done:
                done[kind].add(f"r{number}")
        assert sorted(read) == sorted(done["prediction"] & done["outcome"])
        store.close()
        database.close()


def test_what_was_before_the_experiment_is_not_read(journal_url: str) -> None:
    store, database = open_store(journal_url), open_database(journal_url)
    store.write([chosen(f"old{i}", time=time.time() - 10_000) for i in range(50)])
    store.feedback([reward(f"old{i}", 1) for i in range(50)])
    age = "number = number - 36000000 * 1000 * 1024"
    if journal_url.startswith("postgresql"):
        age = "written = written - interval '10 hours'"
    with database.transaction():
        for table in ("predictions", "outcomes"):
            database.execute(f"UPDATE {database.table(table)} SET {age}")
    ExperimentStore(database).create("prices", model="churn", kind="split", spec={}, state={})
    store.write([chosen("new")])
    store.feedback([reward("new", 1)])
    assert ids(RewardReader(database, "prices")) == ["new"]


def test_sqlite_looks_rewards_up_and_searches_no_table(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/journal.db")
    reader = RewardReader(database, "prices")
    for first, other in (("p", "o"), ("o", "p")):
        query = reader._query(f"{first}.number > ? AND {first}.number <= ? AND {other}.number <= ?", f"{first}.number")
        plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {query}", ("prices", 0, 1, 1))]
        assert plan[0] == f"SEARCH {first} USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"
        assert len(plan) == 3
        assert all(line.startswith("SEARCH") for line in plan)


@pytest.mark.parametrize("kind", ["binary", "continuous"])
def test_rewards_without_end_are_no_rewards(kind: Any, journal_url: str) -> None:
    store, database = open_store(journal_url), open_database(journal_url)
    store.write([chosen("a")])
    store.feedback([reward("a", float("inf"))])
    reader = RewardReader(database, "prices", limits=RewardConfig(kind=kind))
    assert ids(reader) == []
    assert reader.num_out_of_range == 1
