import time
from concurrent.futures import ThreadPoolExecutor

from lightning_app.serving.experiments.store import CanaryRunningError, Event, ExperimentStore, Lease
from lightning_app.serving.journal.stores import open_database


def store_of(url: str) -> ExperimentStore:
    return ExperimentStore(open_database(url))


def test_of_two_changes_of_one_revision_one_is_made(journal_url: str) -> None:
    first, second = store_of(journal_url), store_of(journal_url)
    spec = {"arms": ["a", "b"]}
    assert first.create("prices", model="churn", kind="split", spec=spec, state={"step": 0})
    assert not second.create("prices", model="other", kind="split", spec={}, state={})
    mine, theirs = first.get("prices"), second.get("prices")
    assert mine is not None
    assert mine == theirs
    assert (mine.spec, mine.state, mine.revision, mine.status, mine.ended) == (spec, {"step": 0}, 1, "running", None)
    assert abs(mine.created - time.time()) < 5
    assert first.update(mine, state={"step": 1}, events=[Event(kind="step", facts={"to": 0.05})])
    assert not second.update(theirs, state={"step": 2}, events=[Event(kind="step", facts={"to": 0.5})])
    now = second.get("prices")
    assert now is not None
    assert (now.state, now.revision) == ({"step": 1}, 2)
    assert [(event.kind, event.facts) for event in first.events("prices")] == [("created", {}), ("step", {"to": 0.05})]
    assert first.get("none") is None


def test_an_experiment_that_has_ended_stays_as_it_is(journal_url: str) -> None:
    store = store_of(journal_url)
    store.create("a", model="churn", kind="split", spec={}, state={})
    store.create("b", model="churn", kind="thompson", spec={}, state={})
    (experiment, _) = store.running("churn")
    assert store.update(experiment, state={}, status="stopped", reason="enough")
    ended = store.get("a")
    assert ended is not None
    assert (ended.status, ended.reason) == ("stopped", "enough")
    assert ended.ended is not None
    assert ended.ended >= ended.created
    assert not store.update(ended, state={"again": True})
    assert [one.id for one in store.running("churn")] == ["b"]
    assert [one.id for one in store.list()] == ["a", "b"]


def test_a_model_has_one_canary_at_a_time_whoever_starts_it(journal_url: str) -> None:
    def start(number: int) -> str:
        try:
            store_of(journal_url).create(f"canary-{number}", model="churn", kind="canary", spec={}, state={})
        except CanaryRunningError as error:
            return str(error)
        return "started"

    store = store_of(journal_url)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(start, range(4)))
    assert results.count("started") == 1
    assert sum("another canary of model 'churn' is running" in result for result in results) == 3
    assert store.create("elsewhere", model="fraud", kind="canary", spec={}, state={})
    (running,) = store.running("churn")
    assert store.update(running, state={}, status="rolled_back", reason="errors")
    assert store.create("next", model="churn", kind="canary", spec={}, state={})


def test_who_has_lost_the_lease_changes_nothing_more(journal_url: str) -> None:
    database, other = open_database(journal_url), open_database(journal_url)
    store = ExperimentStore(database)
    store.create("prices", model="churn", kind="split", spec={}, state={})
    stalled = Lease(database, name="experiment:prices", holder="one", seconds=0.2)
    heir = Lease(other, name="experiment:prices", holder="two", seconds=30)
    assert stalled.hold() == 1
    experiment = store.get("prices")
    assert experiment is not None
    assert heir.hold() is None
    time.sleep(0.25)
    assert stalled.fence is None
    assert heir.hold() == 2
    assert not store.update(experiment, state={"by": "one"}, lease=stalled)
    assert ExperimentStore(other).update(experiment, state={"by": "two"}, lease=heir)
    assert stalled.hold() is None
