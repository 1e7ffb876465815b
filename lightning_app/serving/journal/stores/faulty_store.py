"""Faulty store: a journal with faults that are injected before it is written."""

from collections.abc import Callable, Sequence

from typing_extensions import override

from lightning_app.serving.journal.errors import RefusedOutcomeError
from lightning_app.serving.journal.record import Earlier, Outcome, Prediction
from lightning_app.serving.journal.reward_limits import RewardLimits
from lightning_app.serving.journal.stores.protocol import NO_LIMITS, FeedbackStatus, JournalStore


class FaultyStore(JournalStore):
    """Writes as another store does, unless a fault prevents it.

    Args:
        store: The other store.
        fault: Called before each use; raises what the store would raise, or waits.
    """

    def __init__(self, store: JournalStore, fault: Callable[[], None]) -> None:
        self._store, self._fault = store, fault
        self.url = store.url

    @override
    def write(self, predictions: Sequence[Prediction], *, wait: bool = True) -> dict[str, Earlier]:
        self._fault()
        return self._store.write(predictions, wait=wait)

    @override
    def feedback(
        self, outcomes: Sequence[Outcome], *, limits: RewardLimits = NO_LIMITS
    ) -> list[FeedbackStatus | RefusedOutcomeError]:
        self._fault()
        return self._store.feedback(outcomes, limits=limits)

    @override
    def salt(self) -> bytes:
        return self._store.salt()

    @override
    def probe(self) -> None:
        self._fault()
        self._store.probe()

    @override
    def prune(self, before: float) -> tuple[int, int]:
        return self._store.prune(before)

    @override
    def tidy(self) -> None:
        self._store.tidy()

    @override
    def close(self) -> None:
        self._store.close()
