"""Tables that came with format 2, in SQL that both databases read; a module for each part that keeps something."""

from typing import NamedTuple

from lightning_app.serving.journal.stores.experiment_schema import EXPERIMENT_TABLES
from lightning_app.serving.journal.stores.stream_schema import STREAM_TABLES


class Dialect(NamedTuple):
    """What differs between the databases in `CREATE TABLE`; the types text, int8 and float8 are the same.

    Attributes:
        prefix: Of the names of tables.
        number: Type of a primary key that grows from row to row, and is never used again.
        blob: Type of bytes.
    """

    prefix: str
    number: str
    blob: str


SQLITE = Dialect(prefix="", number="INTEGER PRIMARY KEY AUTOINCREMENT", blob="BLOB")
POSTGRES = Dialect(prefix="lightning_app_", number="bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY", blob="bytea")


def added_tables(dialect: Dialect) -> str:
    """Statements that make the tables.

    Args:
        dialect: Of the database.
    """
    return (EXPERIMENT_TABLES + STREAM_TABLES).format(**dialect._asdict())
