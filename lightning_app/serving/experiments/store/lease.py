"""Lease: at most one of many processes does something, and another takes over when it dies."""

import time

from lightning_app.serving.journal.stores.database import JournalDatabase

_MOST_SECONDS = 600.0
"""A lease that ends later than this was given before the clock of the database was set back."""


class Lease:
    """A lease that expires, with a number that grows with each change of the holder: its fence.

    Times are those of the database's clock alone, so the clocks of the holders may differ. In SQLite that is the clock
    of the machine, which all who share the file are on. A holder that was stopped for longer than its lease may still
    believe in it; what it writes after `confirm` in the same transaction is refused once another has taken over.

    Args:
        database: Database of the journal.
        name: Name of the lease, e.g. `experiment:prices`.
        holder: Who holds it: unique among all processes and their restarts.
        seconds: How long it lasts after each `hold`; at most 600.
    """

    def __init__(self, database: JournalDatabase, *, name: str, holder: str, seconds: float) -> None:
        assert 0 < seconds <= _MOST_SECONDS
        self._database, self._name, self._holder, self._seconds = database, name, holder, seconds
        self._fence: int | None = None
        self._until = 0.0

    @property
    def fence(self) -> int | None:
        """The fence, while the lease is surely held; None otherwise."""
        return self._fence if time.monotonic() < self._until else None

    def hold(self) -> int | None:
        """Takes the lease if it is free or has expired, or prolongs it.

        Returns:
            The fence; None if another holds the lease.

        Raises:
            JournalError: The journal cannot be written.
        """
        begin = time.monotonic()
        leases = self._database.table("leases")
        with self._database.transaction():
            now = self._database.now()
            rows = self._database.execute(
                f"INSERT INTO {leases} (name, holder, fence, expires) VALUES (?, ?, 1, ?) "
                "ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires = excluded.expires, "
                f"fence = {leases}.fence + CASE WHEN {leases}.holder = excluded.holder THEN 0 ELSE 1 END "
                f"WHERE {leases}.holder = excluded.holder OR {leases}.expires <= ? OR {leases}.expires > ? "
                "RETURNING fence",
                (self._name, self._holder, now + self._seconds, now, now + _MOST_SECONDS),
            )
        self._fence = rows[0][0] if rows else None
        self._until = begin + self._seconds
        return self._fence

    def confirm(self) -> bool:
        """Whether nobody else has taken the lease; until the end of the present transaction nobody can.

        Raises:
            JournalError: The journal cannot be written.
        """
        rows = self._database.execute(
            f"UPDATE {self._database.table('leases')} SET fence = fence "
            "WHERE name = ? AND holder = ? AND fence = ? RETURNING fence",
            (self._name, self._holder, -1 if self._fence is None else self._fence),
        )
        return bool(rows)

    def release(self) -> None:
        """Gives the lease back, so that another need not wait for its end; the fence stays.

        Raises:
            JournalError: The journal cannot be written.
        """
        with self._database.transaction():
            self._database.execute(
                f"UPDATE {self._database.table('leases')} SET holder = '', expires = 0 WHERE name = ? AND holder = ?",
                (self._name, self._holder),
            )
        self._fence = None
