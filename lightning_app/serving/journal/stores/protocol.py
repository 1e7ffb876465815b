"""JournalStore and JournalReader: what every database of the journal can do."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Literal

import msgspec

from lightning_app.serving.journal.errors import RefusedOutcomeError
from lightning_app.serving.journal.record import Earlier, Outcome, Prediction, Shadow
from lightning_app.serving.journal.reward_limits import RewardLimits

NO_LIMITS: RewardLimits = MappingProxyType({})
FeedbackStatus = Literal["stored", "unknown", "same", "conflict", "spilled", "expired"]
"""`stored`; `unknown`: stored, but no prediction has this id (yet, or it was not sampled); `same`: it was there
already; `conflict`: another value is there and stays; `spilled`: kept in a file until the journal is back; `expired`:
stored, but the reward came too late to be counted."""


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Predictions to read.

    Attributes:
        model: Name of the model; None for all.
        version: Version; None for all.
        since: First time of arrival, Unix seconds.
        until: First time that is not read any more.
    """

    model: str | None = None
    version: int | None = None
    since: float | None = None
    until: float | None = None


class DayCount(msgspec.Struct, frozen=True, kw_only=True):
    """Predictions of a model version under one arm on one day (UTC).

    Attributes:
        model: Name of the model.
        version: Version in the registry; None for the folder of a package.
        digest: Digest of the package.
        arm: Arm that was chosen.
        experiment: Experiment by which it was chosen; None without one.
        day: `YYYY-MM-DD`.
        predictions: Number of requests.
        rows: Rows of these requests.
        outcomes: Outcomes of these rows.
        degraded: Requests whose answer is not that of the arm.
        shadows: Requests that a shadow was asked too.
    """

    model: str
    version: int | None
    digest: str
    arm: str
    experiment: str | None
    day: str
    predictions: int
    rows: int
    outcomes: int
    degraded: int
    shadows: int


class JournalStore(ABC):
    """Writing side of a journal; blocking, for one thread.

    Attributes:
        url: Address without its password.
    """

    url: str

    @abstractmethod
    def write(self, predictions: Sequence[Prediction], *, wait: bool = True) -> dict[str, Earlier]:
        """Writes predictions in one transaction; those whose id is there already are not written.

        Args:
            predictions: The predictions; of several with one id, the first is written.
            wait: Whether to wait while another process writes.

        Returns:
            What the journal holds under the ids that were not written.

        Raises:
            JournalBusyError: Another process is writing and `wait` is false.
            JournalRecordError: The journal can hold one of the predictions at no time; none was written.
            JournalError: The journal cannot be written; none was written.
        """

    @abstractmethod
    def feedback(
        self, outcomes: Sequence[Outcome], *, limits: RewardLimits = NO_LIMITS
    ) -> list[FeedbackStatus | RefusedOutcomeError]:
        """Writes outcomes in one transaction, each at most once per request id and row.

        Args:
            outcomes: The outcomes.
            limits: Rewards that are allowed, by model.

        Returns:
            What happened to each, or why it was not written.

        Raises:
            JournalRecordError: The journal can hold one of the outcomes at no time; none was written.
            JournalError: The journal cannot be written; none was written.
        """

    @abstractmethod
    def salt(self) -> bytes:
        """Salt of hashed columns: random, made once per journal.

        Raises:
            JournalError: The journal cannot be read.
        """

    @abstractmethod
    def probe(self) -> None:
        """Writes to the journal, without leaving anything.

        Raises:
            JournalError: It cannot be written.
        """

    @abstractmethod
    def prune(self, before: float) -> tuple[int, int]:
        """Deletes what was written before a time, in small transactions.

        Args:
            before: Unix seconds.

        Returns:
            predictions: Number of deleted predictions.
            outcomes: Number of deleted outcomes.

        Raises:
            JournalError: The journal cannot be written.
        """

    @abstractmethod
    def tidy(self) -> None:
        """What has to be done every few seconds and must not be done by those who answer requests.

        Raises:
            JournalError: It cannot be done now.
        """

    @abstractmethod
    def close(self) -> None:
        """Closes the connection; the next call opens it again."""


class JournalReader(ABC):
    """Reading side of a journal; never blocks those who write.

    Attributes:
        url: Address without its password.
    """

    url: str

    @abstractmethod
    def predictions(self, selection: Selection, *, most_bytes: int = 2**24) -> Iterator[list[Prediction]]:
        """Reads predictions in the order in which they were written.

        Args:
            selection: Which ones.
            most_bytes: About the size of bodies and answers of one part; a part has one prediction at least.

        Yields:
            Parts.
        """

    @abstractmethod
    def outcomes(self, request_ids: Sequence[str]) -> dict[str, list[Outcome]]:
        """Outcomes of requests.

        Args:
            request_ids: Ids.

        Returns:
            Outcomes by id, in the order of their rows; ids without any are missing.
        """

    @abstractmethod
    def shadows(self, request_ids: Sequence[str]) -> dict[str, Shadow]:
        """Answers of shadows to requests.

        Args:
            request_ids: Ids.

        Returns:
            The last answer by id; ids without any are missing.
        """

    @abstractmethod
    def day_counts(self) -> list[DayCount]:
        """Predictions per model, version, arm, experiment and day."""

    @abstractmethod
    def num_unknown_outcomes(self) -> int:
        """Number of outcomes without a prediction."""

    @abstractmethod
    def num_bytes(self) -> int:
        """Size of the journal."""

    @abstractmethod
    def close(self) -> None:
        """Closes the connection."""
