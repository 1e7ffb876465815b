"""JournalDatabase: SQL on the database of a journal, the same statements for SQLite and PostgreSQL."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from lightning_app.serving.journal.record import Earlier, Prediction
from lightning_app.serving.journal.stores.added_tables import Dialect


class JournalDatabase(ABC):
    """A connection of its own, for one thread; it is opened again when it was cut or the file was moved away.

    `open_database` opens one.

    Statements have `?` for each value, and no `?` or texts elsewhere. Both databases know `RETURNING`, `ON CONFLICT`,
    and the types text, int8 and float8. Names of tables come from `table`.

    Attributes:
        url: Address without its password.
        answered: Predictions for a `FROM` clause: `number` and the fields of `Prediction`.
        skip_locked: End of a `SELECT` of rows that are about to be claimed: those that others are claiming are left
            out.
        dialect: What `CREATE TABLE` needs to know.
        facts: Table of `key` and `value` (bytes) with what the journal says of itself.
    """

    url: str
    answered: str
    skip_locked: str
    dialect: Dialect
    facts: str

    @abstractmethod
    def table(self, name: str) -> str:
        """Name of a table in this database.

        Args:
            name: Its name in SQLite, e.g. `experiments`.
        """

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """What is executed within it is committed at its end, or rolled back by an exception.

        Raises:
            JournalRecordError: The journal can hold this at no time.
            JournalError: The journal cannot be written, or cannot be reached; nothing was written, but for a
                connection that was cut during the commit itself.
        """

    @abstractmethod
    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Executes a statement; outside of a transaction it has to read only.

        Args:
            statement: The statement.
            values: A value for each `?`.

        Returns:
            Rows; none if the statement gives none.

        Raises:
            JournalRecordError: The journal can hold a value at no time.
            JournalError: The journal cannot be reached, or the statement fails.
        """

    @abstractmethod
    def stream(
        self, statement: str, values: Sequence[Any] = (), *, at_once: int = 10_000
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Executes a statement that only reads, and gives its rows part by part, however many and however long.

        Args:
            statement: The statement.
            values: A value for each `?`.
            at_once: Most rows of a part.

        Yields:
            Parts, none of them empty.

        Raises:
            JournalError: The journal cannot be reached, or the statement fails.
        """

    @abstractmethod
    def execute_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Executes a statement for each row, within a transaction.

        Args:
            statement: The statement; it gives no rows.
            rows: Values for each execution.

        Raises:
            JournalRecordError: The journal can hold a value at no time.
            JournalError: The journal cannot be reached, or the statement fails.
        """

    @abstractmethod
    def insert(self, predictions: Sequence[Prediction]) -> None:
        """Writes predictions, within a transaction in which something else may be written beside them.

        Args:
            predictions: The predictions.

        Raises:
            JournalIdError: The journal holds one of their ids already, and the transaction has to end.
            JournalRecordError: The journal can hold one of them at no time.
            JournalError: The journal cannot be reached.
        """

    @abstractmethod
    def earlier(self, request_ids: Sequence[str]) -> dict[str, Earlier]:
        """What the journal holds under ids; those that it does not know are missing.

        Args:
            request_ids: The ids.

        Raises:
            JournalError: The journal cannot be reached.
        """

    @abstractmethod
    def now(self) -> float:
        """Time by the clock of the database, in Unix seconds: one clock for all who share it.

        Raises:
            JournalError: The journal cannot be reached.
        """

    @abstractmethod
    def settled(self, name: str) -> int:
        """Number of a row up to which a table is complete: no row with a smaller number appears later.

        Numbers of PostgreSQL are given before the commit: a larger one may be seen before a smaller one. Rows become
        settled while this is called now and then.

        Args:
            name: Name of the table in SQLite; its rows have a `number`.

        Raises:
            JournalError: The journal cannot be reached.
        """

    @abstractmethod
    def first_number(self, name: str, *, since: float) -> int:
        """Number that no row of predictions or outcomes that was written since a time is below.

        Args:
            name: `predictions` or `outcomes`.
            since: Unix seconds.

        Raises:
            JournalError: The journal cannot be reached.
        """

    @abstractmethod
    def close(self) -> None:
        """Closes the connection; the next call opens it again."""
