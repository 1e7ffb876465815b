"""Tables of parts above the journal, in both databases."""

import subprocess
import sys
from pathlib import Path

import pytest

from lightning_app.serving.journal.errors import JournalError
from lightning_app.serving.journal.stores import open_database
from lightning_app.serving.journal.stores.own_tables import own_tables, own_tables_version

NOTES = """
CREATE TABLE {prefix}notes (number {number}, text text NOT NULL, body {blob});
CREATE UNIQUE INDEX {prefix}notes_text ON {prefix}notes (text) WHERE body IS NULL;
"""
SECOND = "ALTER TABLE {prefix}notes ADD COLUMN author text"
INSERT = "INSERT INTO {} (text) VALUES (?) RETURNING number"


def test_tables_are_made_once_upgraded_and_refused_when_they_are_newer(url: str) -> None:
    database = open_database(url)
    notes = database.table("notes")
    assert own_tables_version(database, "notes", 1) is None
    with pytest.raises(JournalError):
        database.execute(f"SELECT * FROM {notes}")
    own_tables(database, "notes", 1, NOTES)
    own_tables(database, "notes", 1, NOTES)
    with database.transaction():
        assert database.execute(INSERT.format(notes), ("first",)) == [(1,)]
    with pytest.raises(JournalError), database.transaction():
        database.execute(INSERT.format(notes), ("first",))
    other = open_database(url)
    own_tables(other, "notes", 2, NOTES, upgrades={2: SECOND})
    assert other.execute(f"SELECT text, author FROM {notes}") == [("first", None)]
    with pytest.raises(ValueError, match="tables of notes in .* have version 2, this program reads up to 1: update it"):
        own_tables(database, "notes", 1, NOTES)
    with pytest.raises(ValueError, match="tables of notes in"):
        own_tables_version(database, "notes", 1)
    assert own_tables_version(other, "others", 1) is None


def test_tables_whose_making_fails_are_not_half_made(url: str) -> None:
    database = open_database(url)
    with pytest.raises(JournalError):
        own_tables(database, "notes", 1, NOTES + "CREATE TABLE {prefix}notes (number int8)")
    assert own_tables_version(database, "notes", 1) is None
    own_tables(database, "notes", 1, NOTES)
    assert database.execute(f"SELECT count(*) FROM {database.table('notes')}") == [(0,)]


MAKE = """
import sys
from tests.lightning_app.serving.journal.test_own_tables import INSERT, NOTES
from lightning_app.serving.journal.stores import open_database
from lightning_app.serving.journal.stores.own_tables import own_tables
database = open_database(sys.argv[1])
sys.stdin.readline()
own_tables(database, "notes", 1, NOTES)
with database.transaction():
    database.execute(INSERT.format(database.table("notes")), (sys.argv[2],))
"""


def test_first_uses_at_the_same_time_make_the_tables_once(url: str) -> None:
    open_database(url).close()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MAKE, url, f"p{number}"], cwd=Path(__file__).parents[4], stdin=subprocess.PIPE
        )
        for number in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait(60) for process in processes] == [0] * 4
    database = open_database(url)
    assert database.execute(f"SELECT count(*) FROM {database.table('notes')}") == [(4,)]
