import subprocess
import sys
import time
from pathlib import Path

from lightning_app.serving.experiments.store import Lease
from lightning_app.serving.journal.stores import open_database


def lease(url: str, holder: str, *, seconds: float = 30.0) -> Lease:
    return Lease(open_database(url), name="experiment:prices", holder=holder, seconds=seconds)


def test_a_lease_has_one_holder_until_it_expires_or_is_released(journal_url: str) -> None:
    first, second = lease(journal_url, "first", seconds=0.3), lease(journal_url, "second")
    assert (first.hold(), first.fence, second.hold(), second.fence) == (1, 1, None, None)
    assert first.hold() == 1
    time.sleep(0.35)
    assert second.hold() == 2
    assert (first.hold(), first.fence) == (None, None)
    first.release()  # it is not its own
    assert first.hold() is None
    second.release()
    assert second.fence is None
    assert first.hold() == 3


def test_the_fence_grows_when_a_holder_comes_back_after_another(journal_url: str) -> None:
    first, second = lease(journal_url, "first", seconds=0.05), lease(journal_url, "second", seconds=0.05)
    fences = []
    for turn in (first, second, first):
        fences.append(turn.hold())
        time.sleep(0.06)
    assert fences == [1, 2, 3]


def test_a_lease_from_before_the_clock_was_set_back_is_not_waited_for(journal_url: str) -> None:
    held, waiting = lease(journal_url, "held"), lease(journal_url, "waiting")
    held.hold()
    database = open_database(journal_url)
    with database.transaction():
        database.execute(f"UPDATE {database.table('leases')} SET expires = expires + 86400")
    assert waiting.hold() == 2


HOLD = """
import sys
from tests.lightning_app.serving.experiments.store.test_lease import lease
sys.stdin.readline()
fence = lease(sys.argv[1], sys.argv[2]).hold()
sys.exit(0 if fence is None else fence)
"""


def test_of_processes_that_want_a_lease_at_once_one_gets_it(journal_url: str) -> None:
    open_database(journal_url).close()
    command = [sys.executable, "-c", HOLD, journal_url]
    processes = [
        subprocess.Popen([*command, f"p{number}"], cwd=Path(__file__).parents[5], stdin=subprocess.PIPE)
        for number in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    assert sorted(process.wait(60) for process in processes) == [0, 0, 0, 1]
