"""Sink: what every destination of messages can do; used by one thread."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from lightning_app.serving.stream.event import Output

Done = Callable[[str | None, bool], None]
"""Told that a message is acknowledged (None), or why not, and whether it never will be."""


class Sink(ABC):
    """Takes messages, and says when each is acknowledged."""

    @abstractmethod
    def open(self) -> None:
        """Connects.

        Raises:
            UsageError: There is no such topic.
            StreamError: The server cannot be reached.
        """

    @abstractmethod
    def send(self, message: Output, done: Done) -> None:
        """Takes a message.

        Args:
            message: The message.
            done: Called within `send`, `poll` or `flush`.
        """

    @abstractmethod
    def poll(self, seconds: float) -> None:
        """Sends what waits, and hears what was acknowledged.

        Args:
            seconds: How long to wait for that.
        """

    @abstractmethod
    def close(self) -> None:
        """Forgets what was not acknowledged."""
