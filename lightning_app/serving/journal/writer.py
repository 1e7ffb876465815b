"""JournalWriter: the journal of one worker, for its event loop; answers are sent after `await commit(...)`."""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence

from msgspec.structs import replace

from lightning_app.serving.config.serve_config import JournalConfig
from lightning_app.serving.journal.arm_count import ArmCount
from lightning_app.serving.journal.committer import Committer
from lightning_app.serving.journal.health import JournalHealth
from lightning_app.serving.journal.record import Earlier, Outcome, Prediction, Shadow
from lightning_app.serving.journal.record_redaction import RecordRedaction
from lightning_app.serving.journal.reward_limits import RewardLimits
from lightning_app.serving.journal.sampling import is_sampled
from lightning_app.serving.journal.side_writer import SideWriter
from lightning_app.serving.journal.stores import open_database
from lightning_app.serving.journal.stores.protocol import NO_LIMITS, FeedbackStatus


class JournalWriter:
    """Commits predictions and outcomes of one worker, and writes shadows and counts beside them.

    Everything that is given in one turn of the event loop is one transaction.

    Args:
        config: Where to, and what happens while that is down.
        limits: Rewards that are allowed, by model.
        in_thread: Whether to leave everything to a thread.
        on_commit: Called with the seconds of each transaction.
        fault: Called before each write, for faults that are injected; None injects none.

    Raises:
        ValueError: The address is of no journal.
    """

    def __init__(
        self,
        config: JournalConfig,
        *,
        limits: RewardLimits = NO_LIMITS,
        in_thread: bool = False,
        on_commit: Callable[[float], object] | None = None,
        fault: Callable[[], None] | None = None,
    ) -> None:
        assert config.url is not None
        url = config.url
        self._config = config
        self._health = JournalHealth(since=time.time())
        self._redaction = RecordRedaction(config)
        self._side = SideWriter(open_database=lambda: open_database(url), redacted=self._redaction.shadow)
        self._committer = Committer(
            config,
            health=self._health,
            limits=limits,
            in_thread=in_thread,
            on_commit=on_commit,
            on_up=self._redaction.use_salt,
            fault=fault,
        )

    async def start(self) -> None:
        """Opens the journal; if that is down, the worker goes on without it as `on_failure` says.

        Raises:
            ValueError: It is no journal, or one of a newer version.
        """
        await self._committer.start()

    def drop_tensors(self, names: Collection[str]) -> None:
        """Leaves out whole tensors, because a column that is to be dropped or hashed is among their columns.

        Args:
            names: Inputs of models; those of earlier calls stay left out.
        """
        self._redaction.drop_tensors(names)

    async def commit(self, predictions: Sequence[Prediction]) -> dict[str, Earlier]:
        """Writes predictions; when it returns, they survive the death of the server.

        Args:
            predictions: The predictions, with bodies and answers as they were sent.

        Returns:
            What the journal holds under an id, for each that it held already. It may hold those just written too, if
            two requests with one id are answered at the same time.

        Raises:
            JournalDownError: They are not written: the journal is down.
            JournalRecordError: They are not written: the journal can hold one of them at no time.
        """
        share = self._config.sample
        kept = list(predictions)
        if share < 1:
            kept = [prediction for prediction in kept if is_sampled(prediction.request_id, share)]
            self._health.not_sampled += len(predictions) - len(kept)
        if not kept:
            return {}
        if not self._redaction.is_needed:
            return await self._committer.commit(kept)
        redacted = [await self._redaction.prediction(prediction) for prediction in kept]
        earlier = await self._committer.commit(redacted)
        for prediction, written in zip(kept, redacted, strict=True):
            held = earlier.get(prediction.request_id)
            if held is not None and held.body_digest == written.body_digest:
                earlier[prediction.request_id] = replace(held, body_digest=prediction.body_digest)
        return earlier

    async def feedback(self, outcome: Outcome) -> FeedbackStatus:
        """Writes an outcome, at most once per request id and row.

        Args:
            outcome: The outcome.

        Raises:
            JournalDownError: It is not written: the journal is down.
            RefusedOutcomeError: It is not written: its prediction says that it cannot be right.
            JournalRecordError: It is not written: the journal can hold it at no time.
        """
        status = await self._committer.feedback(outcome)
        self._health.outcomes += status != "conflict"
        return status

    def shadow(self, shadow: Shadow) -> None:
        """Writes the answer of a shadow some time later, or counts it as lost; nobody waits for it.

        Args:
            shadow: The answer, as that of the request was sent; columns are dropped and hashed as there.
        """
        if is_sampled(shadow.request_id, self._config.sample):
            self._side.shadow(shadow)

    def counts(self, rows: Sequence[ArmCount]) -> None:
        """Writes counts of arms some time later; while the journal is down they are summed up.

        Args:
            rows: Counts since the last ones.
        """
        self._side.counts(rows)

    async def count_pending(self) -> None:
        """Counts what other workers, and those of before, have left in the spill folder; `health` says it."""
        await self._committer.count_others()

    def health(self) -> JournalHealth:
        """State and counts, for readiness and metrics."""
        self._health.pending = self._committer.num_pending()
        self._health.unreadable_bodies = self._redaction.num_unreadable
        self._health.shadows, self._health.lost_shadows = self._side.shadows, self._side.lost_shadows
        return self._health

    async def close(self) -> None:
        """Writes what waits, and closes the journal."""
        await asyncio.sleep(0)  # what tasks that were just cancelled still give
        await asyncio.get_running_loop().run_in_executor(None, self._side.close)
        await self._committer.close()
