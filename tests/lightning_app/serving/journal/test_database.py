"""The database of a journal: upgrades of format 1, and SQL that both databases understand."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from lightning_app.serving.journal.errors import JournalError, JournalIdError, JournalRecordError
from lightning_app.serving.journal.stores import open_database, open_reader, open_store
from lightning_app.serving.journal.stores.protocol import Selection
from tests.lightning_app.serving.journal.format_1 import make_journal_of_format_1
from tests.lightning_app.serving.journal.records import empty_database, outcome, prediction
from tests.postgres import needs_postgres

ADDED = ("shadows", "arm_counts", "experiments", "experiment_events", "leases", "stream_offsets", "outbox")


def held(url: str) -> dict[str, str | None]:
    """Experiment of each prediction."""
    reader = open_reader(url)
    try:
        return {one.request_id: one.experiment for part in reader.predictions(Selection()) for one in part}
    finally:
        reader.close()


def test_a_journal_of_format_1_is_read_as_it_is_and_upgraded_when_it_is_written(url: str) -> None:
    make_journal_of_format_1(url)
    assert held(url) == {"old": None}
    assert [day.outcomes for day in open_reader(url).day_counts()] == [1]
    early = open_reader(url)
    store = open_store(url)
    assert store.write([prediction("new", experiment="e"), prediction("old")])["old"].arm == "champion"
    assert store.feedback([outcome("old", b"true"), outcome("new")]) == ["same", "stored"]
    store.close()
    assert held(url) == {"old": None, "new": "e"}
    assert [one.request_id for part in early.predictions(Selection()) for one in part] == ["old", "new"]
    early.close()
    database = open_database(url)
    for table in ADDED:
        assert database.execute(f"SELECT count(*) FROM {database.table(table)}") == [(0,)]
    if url.startswith("sqlite"):
        rows = database.execute("SELECT request_id, time, experiment FROM journal")
        assert rows[0] == ("old", "2026-09-21 14:13:20.500", None)
        assert rows[1][2] == "e"


OPEN = """
import sys
from lightning_app.serving.journal.stores import open_store
from tests.lightning_app.serving.journal.records import prediction
sys.stdin.readline()
open_store(sys.argv[1]).write([prediction(sys.argv[2], experiment="e")])
"""


def test_processes_that_upgrade_at_the_same_time_make_one_journal(url: str) -> None:
    make_journal_of_format_1(url)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, url, f"p{number}"], cwd=Path(__file__).parents[4], stdin=subprocess.PIPE
        )
        for number in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait(60) for process in processes] == [0] * 4
    assert held(url) == {"old": None} | {f"p{number}": "e" for number in range(4)}


@needs_postgres
def test_an_upgrade_does_not_hold_up_those_who_write_while_somebody_reads(postgres_server: str) -> None:
    import psycopg

    url = empty_database(postgres_server)
    make_journal_of_format_1(url)
    with psycopg.connect(url) as long:
        long.execute("SELECT count(*) FROM lightning_app_predictions")  # its transaction goes on
        with pytest.raises(JournalError, match="lock timeout"):
            open_store(url)
    assert open_store(url).write([prediction("new", experiment="e")]) == {}


def test_a_transaction_is_committed_as_a_whole_or_not_at_all(url: str) -> None:
    database, other = open_database(url), open_database(url)
    leases = database.table("leases")
    insert = f"INSERT INTO {leases} (name, holder, fence, expires) VALUES (?, ?, ?, ?)"
    with database.transaction():
        database.execute(insert, ("50 %", "a?", 1, 2))
        database.execute_many(insert, [("b", "x", 2, 2.5), ("c", "x", 3, 3.5)])
        assert other.execute(f"SELECT name FROM {leases}") == []
    with pytest.raises(JournalError), database.transaction():
        database.execute_many(insert, [("d", "x", 1, 1), ("b", "x", 1, 1)])
    with pytest.raises(KeyError), database.transaction():
        raise KeyError(database.execute(f"{insert} RETURNING name", ("d", "x", 1, 1)))
    with pytest.raises(JournalRecordError), database.transaction():
        database.execute(insert, ("d", "\ud800", 1, 1))
    query = f"SELECT name, holder, expires FROM {leases} WHERE expires < ? ORDER BY expires"
    assert other.execute(query, (3,)) == [("50 %", "a?", 2.0), ("b", "x", 2.5)]
    with database.transaction():
        returned = database.execute(f"UPDATE {leases} SET fence = fence + 1 WHERE name = ? RETURNING fence", ("c",))
    assert returned == [(4,)]
    assert abs(database.now() - time.time()) < 5


def test_a_connection_that_was_cut_is_opened_again(url: str, tmp_path: Path) -> None:
    database = open_database(url)
    if url.startswith("sqlite"):
        for file in tmp_path.glob("journal.db*"):
            file.rename(file.with_name(f"moved-{file.name}"))
    else:
        import psycopg

        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
    with database.transaction():
        database.execute(f"INSERT INTO {database.table('leases')} VALUES ('a', 'b', 1, 2.0)")
    assert database.execute(f"SELECT name FROM {database.table('leases')}") == [("a",)]


def test_a_table_is_settled_up_to_what_no_writer_can_precede(url: str) -> None:
    database = open_database(url)
    store = open_store(url)
    assert database.settled("outcomes") == 0
    store.feedback([outcome("a"), outcome("b")])
    first = database.settled("outcomes")
    count = f"SELECT count(*) FROM {database.table('outcomes')} WHERE number <= ?"
    assert database.execute(count, (first,)) == [(2,)]
    if url.startswith("sqlite"):
        return
    import psycopg

    insert = 'INSERT INTO lightning_app_outcomes (request_id, "row", time) VALUES (%s, 0, 0) RETURNING number'
    with psycopg.connect(url) as slow:
        slow.execute(insert, ("slow",))
        store.feedback([outcome("overtakes")])
        assert [database.settled("outcomes") for _ in range(3)] == [first] * 3
    assert database.execute(count, (database.settled("outcomes"),)) == [(4,)]


def test_predictions_and_statements_are_one_transaction(url: str) -> None:
    database = open_database(url)
    insert = f"INSERT INTO {database.table('leases')} VALUES (?, 'b', 1, 2.0)"
    with database.transaction():
        database.insert([prediction("a"), prediction("b", experiment="e")])
        database.execute(insert, ("first",))

    def write_again() -> None:
        with database.transaction():
            database.execute(insert, ("second",))
            database.insert([prediction("c"), prediction("b")])

    with pytest.raises(JournalIdError):
        write_again()
    assert held(url) == {"a": None, "b": "e"}
    assert database.execute(f"SELECT name FROM {database.table('leases')}") == [("first",)]
    assert set(database.earlier(["b", "c", "a"])) == {"a", "b"}
    with database.transaction():
        database.insert([prediction("c")])
    assert set(held(url)) == {"a", "b", "c"}
