"""Committer: commits what comes in one turn of the event loop together: here, in a thread, or to spill files."""

import asyncio
import time
from collections.abc import Callable
from contextlib import closing

from lightning_app.serving.config.serve_config import JournalConfig
from lightning_app.serving.journal.commit_thread import CommitThread, Job, OutcomeJob, PredictionJob
from lightning_app.serving.journal.errors import JournalBusyError, JournalDownError, JournalError, JournalRecordError
from lightning_app.serving.journal.failure_policy import FailurePolicy
from lightning_app.serving.journal.health import JournalHealth
from lightning_app.serving.journal.inline_store import InlineStore
from lightning_app.serving.journal.record import Earlier, Outcome, Prediction
from lightning_app.serving.journal.reward_limits import RewardLimits
from lightning_app.serving.journal.stores import open_store
from lightning_app.serving.journal.stores.faulty_store import FaultyStore
from lightning_app.serving.journal.stores.protocol import FeedbackStatus, JournalStore

_Waiting = tuple[list[Prediction], "asyncio.Future[dict[str, Earlier]]"]


class Committer:
    """Commits predictions and outcomes of one worker, for its event loop.

    A commit to a file takes microseconds, less than to wake a thread: it is done in the event loop, unless another
    process writes at that moment, the disk is slow, or there is much to write. Everything else is left to a thread.

    Args:
        config: Where to, and what happens while that is down.
        health: State and counts; kept here.
        limits: Rewards that are allowed, by model.
        in_thread: Whether to leave everything to the thread.
        on_commit: Called with the seconds of each transaction.
        on_up: Called with the salt whenever the journal can be written.
        fault: Called before each write, for faults that are injected; None injects none.
    """

    def __init__(
        self,
        config: JournalConfig,
        *,
        health: JournalHealth,
        limits: RewardLimits,
        in_thread: bool,
        on_commit: Callable[[float], object] | None,
        on_up: Callable[[bytes], None],
        fault: Callable[[], None] | None = None,
    ) -> None:
        assert config.url is not None
        self._fault = fault
        self._url, self._config, self._limits = config.url, config, limits
        self._health, self._on_commit, self._on_up = health, on_commit, on_up
        self._policy = FailurePolicy(config, health)
        self._spiller = self._policy.spiller
        self._inline = None if in_thread or not config.url.startswith("sqlite:") else InlineStore(self._open_here)
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

    async def commit(self, kept: list[Prediction]) -> dict[str, Earlier]:
        """Writes predictions; when it returns, they survive the death of the server.

        Args:
            kept: The predictions.

        Returns:
            What the journal holds under an id, for each that it held already.

        Raises:
            JournalDownError: They are not written: the journal is down.
            JournalRecordError: They are not written: the journal can hold one of them at no time.
        """
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
            return self._spilled(outcome)
        future: asyncio.Future[FeedbackStatus] = self._loop.create_future()
        job = OutcomeJob(outcome)
        self._futures[job] = future
        self._thread.submit((job,))
        return await future

    def num_pending(self) -> int:
        """Number of records in spill files that are not replayed yet."""
        return self._spiller.num_waiting()

    async def count_others(self) -> None:
        """Counts what other processes have left in the spill folder."""
        await asyncio.get_running_loop().run_in_executor(None, self._spiller.count_others)

    async def close(self) -> None:
        """Writes what waits, and closes the journal."""
        if self._loop is None or self._thread is None:
            return
        self._flush()
        self._thread.stop()
        await self._loop.run_in_executor(None, self._thread.join, 10.0)
        await asyncio.sleep(0)  # what the thread has posted
        self._spiller.close()
        if self._inline is not None:
            self._inline.close()

    def _open(self) -> JournalStore:
        return self._with_faults(open_store(self._url, synchronous=self._config.synchronous))

    def _read_salt(self) -> bytes:
        with closing(self._open()) as store:
            return store.salt()

    def _open_here(self) -> JournalStore:
        """The journal for the event loop, which waits for nobody."""
        store = open_store(self._url, synchronous=self._config.synchronous, lock_timeout=0.0)
        return self._with_faults(store)

    def _with_faults(self, store: JournalStore) -> JournalStore:
        return store if self._fault is None else FaultyStore(store, self._fault)

    def _post(self, function: object, argument: object) -> None:
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, argument)  # type: ignore[arg-type]

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
        self._on_up(salt)
        self._health.state, self._health.since = "up", time.time()
        if self._spiller.seal():
            self._thread.look_for_files()
