"""Own tables: tables of a part above the journal, made in its database when they are first needed."""

from collections.abc import Mapping
from types import MappingProxyType

from lightning_app.serving.journal.stores.database import JournalDatabase

_NO_UPGRADES: Mapping[int, str] = MappingProxyType({})


def own_tables(
    database: JournalDatabase, name: str, version: int, ddl: str, *, upgrades: Mapping[int, str] = _NO_UPGRADES
) -> None:
    """Makes the tables of a part if they do not exist, and upgrades those of an earlier version.

    Several processes may call this at once; one of them makes the tables. Must not be called within a transaction. Who
    only reads calls `own_tables_version` instead.

    Args:
        database: Database of the journal.
        name: Name of the part, e.g. `alerts`.
        version: Version of the tables, from 1.
        ddl: Statements that make the tables, separated by `;`. `{prefix}`, `{number}` and `{blob}` are those of
            `Dialect`; names of tables and indexes begin with `{prefix}`; no texts with `;`.
        upgrades: By version, statements that lead from the version before it to this one, in the form of `ddl`.

    Raises:
        ValueError: The tables are of a newer version.
        JournalError: The journal cannot be written.
    """
    if own_tables_version(database, name, version) == version:
        return
    with database.transaction():
        # The row is also the lock: another process waits at its own INSERT until this transaction ends.
        ((held,),) = database.execute(
            f"INSERT INTO {database.facts} (key, value) VALUES (?, ?) "
            f"ON CONFLICT (key) DO UPDATE SET value = {database.facts}.value RETURNING value",
            (_key(name), _bytes(0)),
        )
        before = int.from_bytes(held, "big")
        _refuse_newer(database, name, before, version)
        if before == version:
            return  # another process has done it
        parts = [ddl] if before == 0 else [upgrades[step] for step in range(before + 1, version + 1)]
        for part in parts:
            for statement in part.format(**database.dialect._asdict()).split(";"):
                if statement.strip():
                    database.execute(statement)
        database.execute(f"UPDATE {database.facts} SET value = ? WHERE key = ?", (_bytes(version), _key(name)))


def own_tables_version(database: JournalDatabase, name: str, version: int) -> int | None:
    """Version of the tables of a part; None if they do not exist.

    Args:
        database: Database of the journal.
        name: Name of the part.
        version: Newest version that the caller reads.

    Raises:
        ValueError: The tables are of a newer version.
        JournalError: The journal cannot be read.
    """
    rows = database.execute(f"SELECT value FROM {database.facts} WHERE key = ?", (_key(name),))
    if not rows:
        return None
    held = int.from_bytes(rows[0][0], "big")
    _refuse_newer(database, name, held, version)
    return held


def _refuse_newer(database: JournalDatabase, name: str, held: int, version: int) -> None:
    if held > version:
        raise ValueError(
            f"journal: tables of {name} in {database.url} have version {held}, this program reads up to {version}: "
            "update it"
        )


def _key(name: str) -> str:
    return f"tables:{name}"


def _bytes(version: int) -> bytes:
    return version.to_bytes(2, "big")
