import fcntl
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lightning_app.serving.config.experiment_config import RewardConfig
from lightning_app.serving.config.serve_config import JournalConfig
from lightning_app.serving.journal.errors import JournalBusyError, JournalError, JournalRecordError
from lightning_app.serving.journal.maintenance import JournalMaintenance
from lightning_app.serving.journal.spill import SpillFile, replay
from lightning_app.serving.journal.stores import open_reader, open_store
from lightning_app.serving.journal.stores.protocol import Selection
from tests.lightning_app.serving.journal.records import outcome, prediction


def test_what_is_written_is_read_back_unchanged(url: str) -> None:
    written = [
        prediction(),
        prediction(
            version=None, entity=None, key_id=None, content_type="application/vnd.apache.parquet", body=b"\x00\xff",
            query="at=last", answer_type="application/vnd.apache.arrow.stream", answer=b"\x00", features=b"\x01\x02",
            degraded="fallback", probability=0.25, num_rows=7, experiment="prices",
        ),
    ]  # fmt: skip
    store = open_store(url)
    assert store.write(written) == {}
    store.close()
    assert [one for part in open_reader(url).predictions(Selection()) for one in part] == written


def test_an_id_is_written_once_and_what_is_there_is_returned(url: str) -> None:
    store = open_store(url)
    first = prediction("a", answer=b"1")
    assert store.write([first]) == {}
    again, other = prediction("a", answer=b"2", version=4), prediction("b")
    earlier = store.write([other, again])
    assert list(earlier) == ["a"]
    assert (earlier["a"].answer, earlier["a"].version, earlier["a"].body_digest) == (b"1", 3, first.body_digest)
    twins = [prediction("c", answer=b"first"), prediction("c", answer=b"second"), prediction("c", answer=b"third")]
    assert store.write(twins)["c"].answer == b"first"
    held = {one.request_id: one.answer for part in open_reader(url).predictions(Selection()) for one in part}
    assert held == {"a": b"1", "b": other.answer, "c": b"first"}


def test_an_outcome_is_written_at_most_once_per_row(url: str) -> None:
    store = open_store(url)
    store.write([prediction("a", num_rows=2)])
    assert store.feedback([outcome("a"), outcome("a"), outcome("a", b"2"), outcome("a", b"1.0")]) == [
        "stored", "same", "conflict", "same",
    ]  # fmt: skip
    assert store.feedback([outcome("a", b"true", row=1), outcome("a", b"1", row=1)]) == ["stored", "conflict"]
    assert store.feedback([outcome("later", None, reward=0.5), outcome("later", None, reward=0.5)]) == [
        "unknown", "same",
    ]  # fmt: skip
    reader = open_reader(url)
    assert {one.row: bytes(one.outcome or b"") for one in reader.outcomes(["a"])["a"]} == {0: b"1", 1: b"true"}
    assert reader.outcomes(["later"])["later"][0].reward == 0.5
    assert reader.num_unknown_outcomes() == 1


def test_selections_and_counts(url: str) -> None:
    store = open_store(url)
    noon = 1_790_000_000.0
    store.write([prediction(f"r{hour}", time=noon + 3600 * hour, num_rows=2) for hour in range(24)])
    store.write([prediction("other", model="fraud", time=noon), prediction("new", version=4, time=noon)])
    store.feedback([outcome("r0"), outcome("r0", row=1)])
    reader = open_reader(url)

    def ids(**selection: Any) -> list[str]:
        parts = reader.predictions(Selection(**selection), most_bytes=1000)
        return [one.request_id for part in parts for one in part]

    assert ids() == [*(f"r{hour}" for hour in range(24)), "other", "new"]
    assert ids(model="fraud") == ["other"]
    assert ids(model="churn", version=4) == ["new"]
    assert ids(since=noon + 3600, until=noon + 7200) == ["r1"]
    days = reader.day_counts()
    assert [(one.model, one.version) for one in days] == [("churn", 3), ("churn", 3), ("churn", 4), ("fraud", 3)]
    assert (sum(one.predictions for one in days), sum(one.rows for one in days)) == (26, 50)
    assert [one.outcomes for one in days] == [2, 0, 0, 0]
    assert reader.num_bytes() > 0


def test_pruning_deletes_what_is_old_and_nothing_else(url: str) -> None:
    store = open_store(url)
    old = time.time() - 1000
    store.write([prediction(time=old) for _ in range(1200)])
    store.feedback([outcome("late")])
    between = time.time()
    time.sleep(0.01)
    store.write([prediction("kept")])
    predictions, outcomes = store.prune(between)
    assert (predictions, outcomes) == (1200, 1)
    assert [one.request_id for part in open_reader(url).predictions(Selection()) for one in part] == ["kept"]
    store.tidy()


def test_a_record_that_can_never_be_held_is_refused_and_nothing_is_written(url: str) -> None:
    store = open_store(url)
    with pytest.raises(JournalRecordError):
        store.write([prediction("good"), prediction("bad", entity="\ud800")])
    assert list(open_reader(url).predictions(Selection())) == []
    assert store.write([prediction("good")]) == {}


def test_the_salt_is_one_for_all(url: str) -> None:
    assert open_store(url).salt() == open_store(url).salt()
    assert len(open_store(url).salt()) == 32


WRITE = """
import sys
from lightning_app.serving.journal.stores import open_store
from tests.lightning_app.serving.journal.records import prediction
store = open_store(sys.argv[1])
for batch in range(20):
    store.write([prediction(f"{sys.argv[2]}-{batch}-{i}") for i in range(20)] + [prediction(f"shared-{batch}")])
"""


def test_four_processes_make_one_journal_and_write_it_together(url: str) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITE, url, str(number)], cwd=Path(__file__).parents[4])
        for number in range(4)
    ]
    assert [process.wait(120) for process in processes] == [0] * 4
    ids = [one.request_id for part in open_reader(url).predictions(Selection()) for one in part]
    assert len(ids) == len(set(ids)) == 4 * 20 * 20 + 20


def test_who_does_not_wait_is_told_that_another_process_writes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    first, second = open_store(url), open_store(url)
    with first._connection.transaction(), pytest.raises(JournalBusyError):  # type: ignore[attr-defined]
        second.write([prediction()], wait=False)
    assert second.write([prediction()], wait=False) == {}


def test_a_journal_that_is_moved_away_is_made_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    store = open_store(url)
    store.write([prediction("before")])
    (tmp_path / "old").mkdir()
    for file in tmp_path.glob("journal.db*"):
        shutil.move(file, tmp_path / "old")
    store.write([prediction("after")])
    assert [one.request_id for one in next(open_reader(url).predictions(Selection()))] == ["after"]


def test_a_database_of_something_else_is_no_journal(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE mine (x)")
    with pytest.raises(ValueError, match="something else"):
        open_store(f"sqlite:///{tmp_path}/other.db")
    (tmp_path / "text.db").write_text("no database at all, but long enough to be looked at")
    with pytest.raises(JournalError, match="not a database"):
        open_store(f"sqlite:///{tmp_path}/text.db")


def test_a_journal_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path}/journal.db").close()
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(ValueError, match="format 99"):
        open_store(f"sqlite:///{tmp_path}/journal.db")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite://", "names no file"),
        ("mysql://host/db", "no address of a journal"),
        ("sqlite:///no/such/folder/journal.db", "does not exist"),
        ("postgresql://me:secret@host/db?no_such_option=1", r"me:\*\*\*@"),
    ],
)
def test_bad_addresses_are_refused_in_one_line(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as failure:
        open_store(url)
    assert "secret" not in str(failure.value)


def test_the_wal_stays_small_while_another_process_reads_and_writes(tmp_path: Path) -> None:
    store, tidier = (open_store(f"sqlite:///{tmp_path}/journal.db") for _ in range(2))
    for _ in range(40):
        store.write([prediction(body=b"x" * 20_000) for _ in range(64)])
        tidier.tidy()
    assert (tmp_path / "journal.db-wal").stat().st_size < 40 * 2**20
    assert (tmp_path / "journal.db").stat().st_size > 40 * 2**20


def test_maintenance_keeps_the_retention_and_survives_a_journal_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    url = f"sqlite:///{tmp_path}/db/journal.db"
    store = open_store(url)
    store.write([prediction("old") for _ in range(3)])
    config = JournalConfig(url=url, retention_days=0.2 / 86_400)
    maintenance = JournalMaintenance(config, tidy_seconds=0.01, prune_seconds=0.05)
    maintenance.start()
    try:
        wait_for(lambda: maintenance.pruned == 1)
        (tmp_path / "db").rename(tmp_path / "away")
        wait_for(lambda: "does not exist" in str(maintenance.last_error))
        (tmp_path / "away").rename(tmp_path / "db")
        store.write([prediction("new")])
        wait_for(lambda: maintenance.pruned == 2)
        assert maintenance.last_error is None
    finally:
        maintenance.stop()
    with pytest.raises(ValueError, match="names no file"):
        JournalMaintenance(JournalConfig(url="sqlite://"))


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_process_that_holds_the_lock_and_does_not_go_on_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    store = open_store(url, lock_timeout=0.2)
    assert store.write([prediction("a")]) == {}
    with (tmp_path / "journal.db-lock").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as a worker that was stopped
        with pytest.raises(JournalBusyError, match=r"another process has held its lock for 0\.2 s"):
            store.write([prediction("b")])
    assert store.write([prediction("b")]) == {}


def test_rewards_are_judged_by_the_limits_of_the_model_that_was_asked(url: str) -> None:
    store = open_store(url)
    store.write([prediction("a"), prediction("late", time=time.time() - 60), prediction("other", model="fraud")])
    given = [
        outcome("a", None, reward=0.5), outcome("a", None, reward=1, row=1), outcome("other", None, reward=0.5),
        outcome("late", None, reward=1), outcome("a", b"7", row=5), outcome("a", None, reward=1),
    ]  # fmt: skip
    results = store.feedback(given, limits={"churn": RewardConfig(within_seconds=30)})
    assert [one if isinstance(one, str) else one.status for one in results] == [
        "out_of_range", "no_such_row", "stored", "expired", "stored", "stored",
    ]  # fmt: skip
    assert str(results[0]) == "reward: 0.5 given, of model churn 0 or 1 is needed"
    assert str(results[1]) == "row: 1 given, the request has row 0 alone"


def test_a_spilled_reward_is_judged_when_it_is_replayed(url: str, tmp_path: Path) -> None:
    spill = SpillFile(tmp_path, durable=False)
    spill.append([prediction("a"), outcome("a", None, reward=7), outcome("a", None, reward=1)])
    spill.append([outcome("a", None, reward=1, row=1), outcome("later", None, reward=7)])
    spill.close()
    replayed = replay(tmp_path, open_store(url), limits={"churn": RewardConfig()})
    assert (replayed.records, replayed.refused, replayed.damaged) == (3, 2, 0)
    assert [one.reward for one in open_reader(url).outcomes(["a"])["a"]] == [1.0]
