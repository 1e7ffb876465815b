"""Driver: decides about one experiment, or follows what another server decided; and what every driver is given."""

from dataclasses import dataclass
from typing import Protocol

from lightning_app.serving.config.control_channel import ModelRouting, ResolvedModel
from lightning_app.serving.config.serve_config import ServeConfig
from lightning_app.serving.journal.stores.database import JournalDatabase


@dataclass
class Server:
    """The server that a driver decides for.

    Attributes:
        config: Its configuration.
        models: Packages that it serves; replaced when an alias has moved.
        database: Database of the journal, which all servers share.
        holder: Who holds leases: unique among all processes and their restarts.
    """

    config: ServeConfig
    models: list[ResolvedModel]
    database: JournalDatabase
    holder: str


class Driver(Protocol):
    """Decides about one experiment or canary."""

    def tick(self, now: float) -> ModelRouting | None:
        """Takes part once; called about every second.

        Args:
            now: Unix seconds.

        Returns:
            Who answers which share from now on; None lets the model itself answer everything.

        Raises:
            JournalError: The journal cannot be reached; shares stay as they are.
        """

    def close(self) -> None:
        """Gives back what it holds.

        Raises:
            JournalError: The journal cannot be reached.
        """
