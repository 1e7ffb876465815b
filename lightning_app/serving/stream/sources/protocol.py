"""Source: what every origin of events can do; used by one thread."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.stream.event import Event


class Source(ABC):
    """Events, in the order in which they are to be answered.

    Attributes:
        lost: Events that are gone before they could be read, e.g. because a broker has deleted them.
        rebalances: How often partitions came or went.
    """

    lost: int = 0
    rebalances: int = 0

    @abstractmethod
    def open(self) -> None:
        """Connects.

        Raises:
            UsageError: There is no such topic, or it cannot be read.
            StreamError: The server cannot be reached.
        """

    @abstractmethod
    def poll(self, most: int, seconds: float) -> list[Event]:
        """The next events.

        Args:
            most: Most events.
            seconds: How long to wait for the first one.

        Raises:
            StreamError: The server cannot be reached.
            JournalError: The journal cannot be reached.
        """

    @abstractmethod
    def settle(self, sql: JournalDatabase, events: Sequence[Event]) -> None:
        """Writes that events are answered, or are dead letters.

        Args:
            sql: In the transaction of the answers.
            events: Events of one `poll` and in its order, maybe without some that were lost.

        Raises:
            LostError: Some of them belong to another worker now.
        """

    @abstractmethod
    def committed(self, events: Sequence[Event]) -> None:
        """Tells the server, after the commit, that events are done; if that fails they come again, and are recognised.

        Args:
            events: The events of the last `settle`.
        """

    @abstractmethod
    def keep(self) -> None:
        """Keeps what is being answered while the process waits for something else.

        Raises:
            StreamError: The server cannot be reached.
            JournalError: The journal cannot be reached.
        """

    def came(self) -> list[str]:
        """Partitions that have come since this was last asked."""
        return []

    @abstractmethod
    def lag(self) -> dict[str, int] | None:
        """Events that wait, by partition; None as long as that is not known."""

    def is_done(self) -> bool:
        """Whether no event waits, neither for this worker nor for one that has died."""
        lags = self.lag()
        return lags is not None and not any(lags.values())

    @abstractmethod
    def close(self) -> None:
        """Gives back what was not answered, and leaves the group."""
