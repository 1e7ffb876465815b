"""JournalWriter: the journal of one worker, for its event loop; answers are sent after `await commit(...)`."""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import closing

from msgspec.structs import replace

from lightning_app.serving.config.serve_config import JournalConfig
from lightning_app.serving.journal.arm_count import ArmCount
from lightning_app.serving.journal.commit_thread import CommitThread, Job, OutcomeJob, PredictionJob
from lightning_app.serving.journal.errors import JournalBusyError, JournalDownError, JournalError, JournalRecordError
from lightning_app.serving.journal.failure_policy import FailurePolicy
from lightning_app.serving.journal.health import JournalHealth
from lightning_app.serving.journal.inline_store import InlineStore
from lightning_app.serving.journal.record import Earlier, Outcome, Prediction, Shadow
from lightning_app.serving.journal.redaction import Redaction
from lightning_app.serving.journal.reward_limits import RewardLimits
from lightning_app.serving.journal.sampling import is_sampled
from lightning_app.serving.journal.side_writer import SideWriter
from lightning_app.serving.journal.stores import open_database, open_store
from lightning_app.serving.journal.stores.protocol import NO_LIMITS, FeedbackStatus, JournalStore

_LARGE_BYTES = 2**18
_LEFT_OUT = "the reason is left out: it may quote columns that are dropped or hashed"

_Waiting = tuple[list[Prediction], "asyncio.Future[dict[str, Earlier]]"]


class JournalWriter:
    """Commits predictions and outcomes of one worker.

    Everything that is given in one turn of the event loop is one transaction. A commit to a file takes microseconds,
    less than to wake a thread: it is done in the event loop, unless another process writes at that moment, the disk is
    slow, or there is much to write. Everything else is left to a thread.

    Args:
        config: Where to, and what happens while that is down.
        limits: Rewards that are allowed, by model.
        in_thread: Whether to leave everything to the thread.
        on_commit: Called with the seconds of each transaction.

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
    ) -> None:
        assert config.url is not None
        self._url, self._config, self._limits = config.url, config, limits
        self._health = JournalHealth(since=time.time())
        self._policy = FailurePolicy(config, self._health)
        self._spiller = self._policy.spiller
        self._redaction: Redaction | None = None
        self._salt: bytes | None = None
        self._tensors: frozenset[str] = frozenset()
        self._on_commit = on_commit
        self._inline = None if in_thread or not config.url.startswith("sqlite:") else InlineStore(self._open_here)
        self._side = SideWriter(open_database=lambda: open_database(self._url), redacted=self._redacted_shadow)
        self._waiting: list[_Waiting] = []
        self._futures: dict[Job, asyncio.Future[dict[str, Earlier]] | asyncio.Future[FeedbackStatus]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: CommitThread | None = None

    async def start(self) -> None:
        """Opens the journal; if that is down, the worker goes on without it as `on_failure` says.

        Raises:
            ValueError: It is no journal, or one of a newer version.
        """
        self._loop = loop = asyncio.get_running_loop()
        self._thread = CommitThread(
            open_store=self._open,
            spill_folder=self._spiller.folder,
            limits=self._limits,
            done=lambda jobs: self._post(self._deliver, jobs),
            up=lambda salt: self._post(self._went_up, salt),
            replayed=lambda result: self._post(self._policy.was_replayed, result),
            still_down=lambda error: self._post(self._set_down, error),
        )
        try:
            salt = await loop.run_in_executor(None, self._read_salt)
        except JournalError as error:
            self._set_down(str(error))
        else:
            self._went_up(salt)
        self._thread.start()

    def drop_tensors(self, names: Collection[str]) -> None:
        """Leaves out whole tensors, because a column that is to be dropped or hashed is among their columns.

        Args:
            names: Inputs of models; those of earlier calls stay left out.
        """
        self._tensors |= frozenset(names)
        if self._salt is not None:
            self._redaction = self._new_redaction(self._salt)

    def _new_redaction(self, salt: bytes) -> Redaction:
        return Redaction(dropped={*self._config.drop, *self._tensors}, hashed=self._config.hash, salt=salt)

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
        if not (self._config.drop or self._config.hash):
            return await self._commit(kept)
        redacted = [await self._redacted(prediction) for prediction in kept]
        earlier = await self._commit(redacted)
        for prediction, written in zip(kept, redacted, strict=True):
            held = earlier.get(prediction.request_id)
            if held is not None and held.body_digest == written.body_digest:
                earlier[prediction.request_id] = replace(held, body_digest=prediction.body_digest)
        return earlier

    async def _commit(self, kept: list[Prediction]) -> dict[str, Earlier]:
        spilled: dict[str, Earlier] = {}
        if self._spiller.has_sealed:
            spilled = self._spiller.earlier([prediction.request_id for prediction in kept])
        if spilled:
            self._health.repeated += len(spilled)
            kept = [prediction for prediction in kept if prediction.request_id not in spilled]
            if not kept:
                return spilled
        assert self._loop is not None
        future: asyncio.Future[dict[str, Earlier]] = self._loop.create_future()
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append((kept, future))
        return spilled | await future

    async def feedback(self, outcome: Outcome) -> FeedbackStatus:
        """Writes an outcome, at most once per request id and row.

        Args:
            outcome: The outcome.

        Raises:
            JournalDownError: It is not written: the journal is down.
            RefusedOutcomeError: It is not written: its prediction says that it cannot be right.
            JournalRecordError: It is not written: the journal can hold it at no time.
        """
        assert self._loop is not None
        assert self._thread is not None
        if self._health.state == "down":
            status = self._spilled(outcome)
        else:
            future: asyncio.Future[FeedbackStatus] = self._loop.create_future()
            job = OutcomeJob(outcome)
            self._futures[job] = future
            self._thread.submit((job,))
            status = await future
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

    def health(self) -> JournalHealth:
        """State and counts, for readiness and metrics."""
        self._health.pending = self._spiller.num_waiting()
        self._health.shadows, self._health.lost_shadows = self._side.shadows, self._side.lost_shadows
        return self._health

    async def close(self) -> None:
        """Writes what waits, and closes the journal."""
        if self._loop is None or self._thread is None:
            return
        self._flush()
        self._thread.stop()
        await self._loop.run_in_executor(None, self._side.close)
        await self._loop.run_in_executor(None, self._thread.join, 10.0)
        await asyncio.sleep(0)  # what the thread has posted
        self._spiller.close()
        if self._inline is not None:
            self._inline.close()

    def _open(self) -> JournalStore:
        return open_store(self._url, synchronous=self._config.synchronous)

    def _read_salt(self) -> bytes:
        with closing(self._open()) as store:
            return store.salt()

    def _open_here(self) -> JournalStore:
        """The journal for the event loop, which waits for nobody."""
        return open_store(self._url, synchronous=self._config.synchronous, lock_timeout=0.0)

    def _post(self, function: object, argument: object) -> None:
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, argument)  # type: ignore[arg-type]

    async def _redacted(self, prediction: Prediction) -> Prediction:
        if self._redaction is None:
            raise JournalDownError(f"journal: {self._health.last_error}; columns are hashed with its salt")
        if len(prediction.body) + len(prediction.answer) < _LARGE_BYTES:
            redacted, unreadable = self._redaction.apply(prediction)
        else:
            loop = asyncio.get_running_loop()
            redacted, unreadable = await loop.run_in_executor(None, self._redaction.apply, prediction)
        self._health.unreadable_bodies += unreadable
        return redacted

    def _redacted_shadow(self, shadow: Shadow) -> Shadow:
        """What may be written of a shadow; called by the thread that writes it."""
        if not (self._config.drop or self._config.hash):
            return shadow
        redaction = self._redaction
        if redaction is None:
            raise JournalDownError("journal: not open yet; columns are hashed with its salt")
        error = None if shadow.error is None else _LEFT_OUT
        answer = None if shadow.answer is None else redaction.answer(shadow.answer, shadow.answer_type)[0]
        return replace(shadow, answer=answer, error=error)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        if self._health.state == "down":
            for predictions, future in waiting:
                self._without_journal(predictions, future, self._health.last_error or "")
            return
        predictions = [prediction for part, _ in waiting for prediction in part]
        if self._inline is not None and self._inline.takes(predictions):
            self._commit_here(self._inline, predictions, waiting)
        else:
            self._commit_in_thread(waiting)

    def _commit_here(self, store: InlineStore, predictions: list[Prediction], waiting: list[_Waiting]) -> None:
        try:
            earlier, seconds = store.write(predictions)
        except (JournalBusyError, JournalRecordError):
            self._commit_in_thread(waiting)  # which waits, and which tells the record from the others
            return
        except (JournalError, ValueError) as error:  # also that the file is no journal any more
            assert self._thread is not None
            self._thread.went_down()
            self._set_down(str(error))
            for part, future in waiting:
                self._without_journal(part, future, str(error))
            return
        self._count(len(predictions), len(earlier), seconds)
        for _, future in waiting:
            if not future.done():
                future.set_result(earlier)

    def _commit_in_thread(self, waiting: list[_Waiting]) -> None:
        assert self._thread is not None
        jobs = [PredictionJob(predictions) for predictions, _ in waiting]
        self._futures.update(zip(jobs, (future for _, future in waiting), strict=True))
        self._thread.submit(jobs)

    def _deliver(self, jobs: list[Job]) -> None:
        for job in jobs:
            future = self._futures.pop(job)
            result = job.result
            if isinstance(job, PredictionJob):
                if isinstance(result, dict):
                    num_earlier = sum(one.request_id in result for one in job.predictions)
                    self._count(len(job.predictions), num_earlier, job.seconds)
                elif not isinstance(result, JournalRecordError):
                    self._set_down(str(result))
                    self._without_journal(job.predictions, future, str(result))  # type: ignore[arg-type]
                    continue
            elif isinstance(result, Exception) and not isinstance(result, JournalRecordError):
                self._set_down(str(result))
                try:
                    result = self._spilled(job.outcome)
                except (JournalDownError, JournalRecordError) as error:
                    result = error
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)  # type: ignore[arg-type]

    def _count(self, num_predictions: int, num_earlier: int, seconds: float | None) -> None:
        self._health.written += num_predictions - num_earlier
        self._health.repeated += num_earlier
        if seconds is not None:
            self._health.commits += 1
            self._health.commit_seconds += seconds
            if self._on_commit is not None:
                self._on_commit(seconds)

    def _without_journal(
        self, predictions: list[Prediction], future: "asyncio.Future[dict[str, Earlier]]", error: str
    ) -> None:
        if future.done():
            return  # its request was answered with an error long ago
        try:
            future.set_result(self._policy.predictions(predictions, error))
        except (JournalDownError, JournalRecordError) as failure:
            future.set_exception(failure)

    def _spilled(self, outcome: Outcome) -> FeedbackStatus:
        self._policy.outcome(outcome, self._health.last_error or "journal: not open yet")
        return "spilled"

    def _set_down(self, error: str) -> None:
        if self._health.state == "up":
            self._health.state, self._health.since = "down", time.time()
        self._health.last_error = error

    def _went_up(self, salt: bytes) -> None:
        assert self._thread is not None
        if self._inline is not None:
            try:
                self._inline.open()
            except (JournalError, ValueError) as error:
                self._thread.went_down()
                self._set_down(str(error))
                return
        if self._config.drop or self._config.hash:
            self._salt = salt
            self._redaction = self._new_redaction(salt)
        self._health.state, self._health.since = "up", time.time()
        if self._spiller.seal():
            self._thread.look_for_files()
