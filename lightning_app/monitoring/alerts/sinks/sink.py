"""Sink: takes messages, or says why not; texts of errors hold no secrets."""

from typing import Protocol

from lightning_app.monitoring.alerts.message import Message


class SinkError(Exception):
    """A message was not taken.

    Args:
        text: Why, without secrets.
        is_final: Whether trying again is of no use.
        pause: Seconds until the next attempt, if the receiver says so.

    Attributes:
        text: As given.
        is_final: As given.
        pause: As given.
    """

    def __init__(self, text: str, *, is_final: bool = False, pause: float | None = None) -> None:
        super().__init__(text)
        self.text, self.is_final, self.pause = text, is_final, pause


class Sink(Protocol):
    """Somewhere that messages are sent to."""

    def send(self, message: Message) -> str | None:
        """Sends a message; returns once it was taken.

        Args:
            message: The message.

        Returns:
            What the receiver did not do all the same; None if it did everything.

        Raises:
            SinkError: It was not taken.
        """
