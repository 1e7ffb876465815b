"""Tables of alerts; `{prefix}` and `{number}` are those of the dialect."""

from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.journal.stores.own_tables import own_tables, own_tables_version

_NAME, _VERSION = "alerts", 1
_TABLES = """
CREATE TABLE {prefix}alert_states (
  monitor text NOT NULL, rule text NOT NULL, labels text NOT NULL, alert text NOT NULL,
  PRIMARY KEY (monitor, rule, labels)
);
CREATE TABLE {prefix}alert_clocks (monitor text PRIMARY KEY, clock text NOT NULL);
CREATE TABLE {prefix}alert_silences (
  id text PRIMARY KEY, matchers text NOT NULL, created float8 NOT NULL, until float8 NOT NULL, who text NOT NULL,
  reason text NOT NULL, ended float8
);
CREATE TABLE {prefix}alert_messages (
  number {number}, id text NOT NULL UNIQUE, monitor text NOT NULL, sink text NOT NULL, created float8 NOT NULL,
  message text NOT NULL, status text NOT NULL, attempts int8 NOT NULL, next_attempt float8 NOT NULL,
  claimed_until float8 NOT NULL, done float8, error text
);
CREATE INDEX {prefix}alert_messages_waiting ON {prefix}alert_messages (monitor, sink, status, number)
"""


def make_tables(database: JournalDatabase) -> None:
    """Makes the tables if they do not exist.

    Args:
        database: Database of the journal.

    Raises:
        ValueError: The tables are of a newer version of this program.
        JournalError: The journal cannot be written.
    """
    own_tables(database, _NAME, _VERSION, _TABLES)


def have_tables(database: JournalDatabase) -> bool:
    """Whether the tables exist, for those who only read.

    Args:
        database: Database of the journal.

    Raises:
        ValueError: The tables are of a newer version of this program.
        JournalError: The journal cannot be read.
    """
    return own_tables_version(database, _NAME, _VERSION) is not None
