"""PostgresConnection: a connection to a journal in PostgreSQL that is opened again when it was cut."""

from collections.abc import Callable
from typing import TypeVar

import psycopg

from lightning_app.serving.journal.errors import without_password
from lightning_app.serving.journal.stores.postgres.schema import connect, named_errors

_T = TypeVar("_T")


class PostgresConnection:
    """A connection for one thread.

    Args:
        url: Address of the database.
        create: Whether to make the tables if they do not exist.
        timeout: Seconds after which a server that does not answer is given up.

    Attributes:
        url: Address without its password.
    """

    def __init__(self, url: str, *, create: bool = True, timeout: float = 5.0) -> None:
        self.url = without_password(url)
        self._address, self._create, self._timeout = url, create, timeout
        self._connection: psycopg.Connection | None = None

    def open(self) -> psycopg.Connection:
        """The connection.

        Raises:
            JournalError: The server cannot be reached.
            ValueError: The address is malformed, or the journal is of a newer version.
        """
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._address, timeout=self._timeout, create=self._create)
        return self._connection

    def again_if_cut(self, work: Callable[[psycopg.Connection], _T]) -> _T:
        """Does something; once more if the connection turns out to be cut, e.g. by a restart of the server.

        Args:
            work: What is done; nothing of it may remain when it fails.

        Raises:
            JournalRecordError: The journal can hold this at no time.
            JournalError: It cannot be done now.
        """
        with named_errors(self.url):
            try:
                return work(self.open())
            except psycopg.OperationalError:
                if self._connection is None or not self._connection.closed:
                    raise
                return work(self.open())

    def close(self) -> None:
        """Closes the connection; the next call opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
