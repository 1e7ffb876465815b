"""FailurePolicy: what happens to records while the journal is down: refused, or spilled to a file."""

from collections.abc import Sequence
from pathlib import Path

from lightning_app.serving.config.serve_config import JournalConfig
from lightning_app.serving.journal.errors import JournalDownError, JournalRecordError
from lightning_app.serving.journal.health import JournalHealth
from lightning_app.serving.journal.record import Earlier, Outcome, Prediction
from lightning_app.serving.journal.spill import Replayed
from lightning_app.serving.journal.spill.spiller import Spiller

SPILL_FOLDER = "journal-spill"


class FailurePolicy:
    """The policy of one worker; counts what it does.

    Args:
        config: The journal.
        health: Counts.

    Attributes:
        spiller: The worker's spill files.
    """

    def __init__(self, config: JournalConfig, health: JournalHealth) -> None:
        self.spiller = Spiller(Path(config.spill or SPILL_FOLDER), durable=config.synchronous == "full")
        self._refuses, self._health = config.on_failure == "fail", health

    def predictions(self, predictions: Sequence[Prediction], error: str) -> dict[str, Earlier]:
        """Spills predictions.

        Args:
            predictions: The predictions.
            error: Why the journal is down.

        Returns:
            What spill files hold already under the ids.

        Raises:
            JournalDownError: They are refused, or cannot be spilled.
            JournalRecordError: One of them can be written nowhere.
        """
        if self._refuses:
            self._health.refused += len(predictions)
            raise JournalDownError(error)
        try:
            earlier = self.spiller.append(predictions)
        except (JournalDownError, JournalRecordError):
            self._health.refused += len(predictions)
            raise
        self._health.spilled += len(predictions) - len(earlier)
        return earlier

    def outcome(self, outcome: Outcome, error: str) -> None:
        """Spills an outcome.

        Args:
            outcome: The outcome.
            error: Why the journal is down.

        Raises:
            JournalDownError: It is refused, or cannot be spilled.
            JournalRecordError: It can be written nowhere.
        """
        if self._refuses:
            raise JournalDownError(error)
        self.spiller.append([outcome])
        self._health.spilled += 1

    def was_replayed(self, result: Replayed) -> None:
        """Counts a replay, and forgets what it has written to the journal.

        Args:
            result: The replay.
        """
        self.spiller.forget_replayed()
        self._health.replayed += result.records
        self._health.torn += result.torn
        self._health.damaged += result.damaged
        self._health.conflicts += result.conflicts
        self._health.refused_outcomes += result.refused
