"""Cycles in the database of the journal, in both databases: compare and set, one live cycle, clocks, leases."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from lightning_app.retraining.cycles import AnotherTickError, Cycle, CycleStore, TickLease, tick_lease
from lightning_app.retraining.cycles.cycle import cycle_id_of
from lightning_app.serving.journal.errors import JournalError
from lightning_app.serving.journal.stores import open_database
from lightning_app.serving.journal.stores.database import JournalDatabase

Take = Callable[..., TickLease]
NOW = 1_790_000_000.0


@pytest.fixture
def database(journal_url: str) -> JournalDatabase:
    return open_database(journal_url)


@pytest.fixture
def store(database: JournalDatabase) -> CycleStore:
    store = CycleStore(database)
    store.make()
    return store


@pytest.fixture
def leases(journal_url: str, database: JournalDatabase, tmp_path: Path) -> Iterator[Take]:
    """Leases that are held until the end of the test, one for each place."""
    with ExitStack() as stack:

        def take(place: str = "here") -> TickLease:
            folder = tmp_path / place
            return stack.enter_context(tick_lease(database, url=journal_url, model="bikes", folder=folder))

        yield take


def begun(store: CycleStore, lease: TickLease, cycle_id: str = "c1") -> Cycle:
    spec = {"words": "by hand"}
    assert store.create(cycle_id, model="bikes", spec=spec, lease=lease, now=NOW, words="by hand")
    cycle = store.live("bikes")
    assert cycle is not None
    return cycle


def test_a_cycle_is_changed_only_by_who_has_seen_its_last_state(store: CycleStore, leases: Take) -> None:
    lease = leases()
    cycle = begun(store, lease)
    frozen = store.change(cycle, lease=lease, now=NOW + 1, state="frozen", facts={"rows": 5}, words="5 rows")
    assert frozen is not None
    assert (frozen.state, frozen.facts, frozen.entered, frozen.created) == ("frozen", {"rows": 5}, NOW + 1, NOW)
    assert store.get("c1") == frozen
    assert store.change(cycle, lease=lease, now=NOW + 2, state="frozen", words="again") is None
    ended = store.change(frozen, lease=lease, now=NOW + 3, state="rejected", reason="too few", words="too few")
    assert ended is not None
    assert (ended.ended, ended.reason, store.live("bikes")) == (NOW + 3, "too few", None)
    assert store.change(ended, lease=lease, now=NOW + 4, state="promoted", words="no") is None
    assert [event.kind for event in store.events("bikes")] == ["triggered", "frozen", "rejected"]


def test_a_model_has_one_live_cycle_and_an_id_is_used_once(store: CycleStore, leases: Take) -> None:
    lease = leases()
    cycle = begun(store, lease)
    assert not store.create("c2", model="bikes", spec={}, lease=lease, now=NOW, words="")
    assert store.create("c3", model="trams", spec={}, lease=lease, now=NOW, words="")
    store.change(cycle, lease=lease, now=NOW, state="failed", reason="", words="")
    assert not store.create("c1", model="bikes", spec={}, lease=lease, now=NOW, words="")
    assert store.create("c2", model="bikes", spec={}, lease=lease, now=NOW, words="")
    assert [one.cycle_id for one in store.cycles("bikes")] == ["c1", "c2"]


def test_what_a_tick_writes_after_it_lost_its_lease_is_refused(
    store: CycleStore,
    database: JournalDatabase,
    leases: Take,
) -> None:
    first = leases("one machine")
    cycle = begun(store, first)
    with pytest.raises(AnotherTickError, match="on another machine"):
        leases("another machine")
    with database.transaction():  # as if it had been stopped for longer than the lease
        database.execute(f"UPDATE {database.table('leases')} SET expires = 0")
    second = leases("another machine")
    assert store.change(cycle, lease=first, now=NOW, state="frozen", words="") is None
    taken = store.change(cycle, lease=second, now=NOW, state="frozen", words="")
    assert taken is not None
    assert taken.fence > cycle.fence


def test_a_tick_of_the_same_machine_goes_on_at_once_after_one_that_was_killed(
    journal_url: str, database: JournalDatabase, store: CycleStore, tmp_path: Path
) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from lightning_app.retraining.cycles import tick_lease\n"
        "from lightning_app.serving.journal.stores import open_database\n"
        "url, folder = sys.argv[1:]\n"
        "with tick_lease(open_database(url), url=url, model='bikes', folder=Path(folder)):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    folder = tmp_path / "bikes"
    killed = subprocess.run([sys.executable, "-c", program, journal_url, str(folder)], cwd=Path(__file__).parents[4])
    assert killed.returncode == -9
    with tick_lease(database, url=journal_url, model="bikes", folder=folder) as lease:
        begun(store, lease)
        with (
            closing(open_database(journal_url)) as other,
            pytest.raises(AnotherTickError, match="on this machine"),
            tick_lease(other, url=journal_url, model="bikes", folder=folder),
        ):
            pass


def test_times_from_before_the_clock_was_set_back_become_the_present(store: CycleStore, leases: Take) -> None:
    lease = leases()
    cycle = begun(store, lease)
    store.change(cycle, lease=lease, now=NOW + 86400, state="failed", reason="", words="")
    assert store.set_clock_back("bikes", now=NOW + 86390) == 0
    assert store.set_clock_back("bikes", now=NOW + 100) == 86300
    (after,) = store.cycles("bikes")
    assert (after.created, after.entered, after.updated, after.ended) == (NOW, NOW + 100, NOW + 100, NOW + 100)
    assert max(event.time for event in store.events("bikes")) == NOW + 100
    assert store.set_clock_back("bikes", now=NOW + 100) == 0


def test_reading_makes_no_tables(journal_url: str, database: JournalDatabase) -> None:
    store = CycleStore(database)
    assert (store.live("bikes"), store.get("c1"), store.cycles("bikes"), store.events("bikes")) == (None, None, [], [])
    with pytest.raises(JournalError):
        database.execute(f"SELECT * FROM {database.table('retraining_cycles')}")


def test_the_id_of_a_cycle_is_that_of_its_work() -> None:
    same = {"model": "bikes", "trigger": "age", "window": "30d", "champion": "ab", "config": "cd", "data": "ef"}
    assert cycle_id_of(**same) == cycle_id_of(**same)
    others = {cycle_id_of(**same | {name: "other"}) for name in same}
    assert len(others | {cycle_id_of(**same)}) == 7
