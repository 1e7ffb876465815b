"""CommitThread: the thread of a worker that may wait for the journal; group commit, recovery and replay."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue

from lightning_app.serving.journal.errors import JournalError, JournalRecordError
from lightning_app.serving.journal.record import Earlier, Outcome, Prediction
from lightning_app.serving.journal.reward_limits import RewardLimits
from lightning_app.serving.journal.spill import Replayed, replay
from lightning_app.serving.journal.stores.protocol import FeedbackStatus, JournalStore

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0
_LOOK_FOR_FILES = 30.0
_MOST_PREDICTIONS = 1024


class PredictionJob:
    """Predictions that are to be written.

    Attributes:
        predictions: The predictions.
        result: What the journal holds under ids that it held already, or why nothing was written.
        seconds: Duration of the transaction; of several jobs in one transaction, the first has it.
    """

    def __init__(self, predictions: list[Prediction]) -> None:
        self.predictions = predictions
        self.result: dict[str, Earlier] | Exception = {}
        self.seconds: float | None = None


class OutcomeJob:
    """An outcome that is to be written.

    Attributes:
        outcome: The outcome.
        result: What happened to it, or why it was not written.
    """

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.result: FeedbackStatus | Exception = "stored"


Job = PredictionJob | OutcomeJob


class CommitThread:
    """Writes what waits in one transaction; while the journal is down, looks whether it is back.

    Args:
        open_store: Opens the journal.
        spill_folder: Folder of files to replay.
        limits: Rewards that are allowed, by model.
        done: Called with finished jobs, in the thread.
        up: Called with the salt when the journal can be written, in the thread.
        replayed: Called with the counts of a replay, in the thread.
        still_down: Called with the reason when it still cannot be written, in the thread.
    """

    def __init__(
        self,
        *,
        open_store: Callable[[], JournalStore],
        spill_folder: Path,
        limits: RewardLimits,
        done: Callable[[list[Job]], None],
        up: Callable[[bytes], None],
        replayed: Callable[[Replayed], None],
        still_down: Callable[[str], None],
    ) -> None:
        self._open_store, self._folder, self._limits = open_store, spill_folder, limits
        self._done, self._up, self._replayed, self._still_down = done, up, replayed, still_down
        self._jobs: SimpleQueue[Sequence[Job]] = SimpleQueue()
        self._store: JournalStore | None = None
        self._pause = 0.0
        self._next_try = 0.0
        self._next_look = 0.0
        self._is_up = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Gives the thread jobs; all at once, since each time wakes it."""
        self._jobs.put(jobs)

    def went_down(self) -> None:
        """Says that the journal could not be written elsewhere."""
        self._is_up = False
        self._jobs.put(())

    def look_for_files(self) -> None:
        """Says that there are spill files to replay."""
        self._next_look = 0.0
        self._jobs.put(())

    def stop(self) -> None:
        """Lets the thread end after the jobs that it has."""
        self._stopping = True
        self._jobs.put(())

    def join(self, timeout: float) -> None:
        """Waits for the end of the thread."""
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            self._serve(self._wait_for())
            if self._stopping and self._jobs.empty():
                break
            now = time.monotonic()
            if not self._is_up and now >= self._next_try:
                self._recover()
            elif self._is_up and now >= self._next_look:
                self._replay()
        if self._store is not None:
            self._store.close()

    def _wait_for(self) -> float:
        return max(0.0, (self._next_look if self._is_up else self._next_try) - time.monotonic())

    def _serve(self, timeout: float) -> None:
        """Does all jobs that wait."""
        jobs: list[Job] = []
        try:
            first = self._jobs.get(timeout=timeout) if timeout else self._jobs.get_nowait()
            while True:
                jobs += first
                if len(jobs) >= _MOST_PREDICTIONS:
                    break
                first = self._jobs.get_nowait()
        except Empty:
            pass
        if not jobs:
            return
        try:
            self._write([job for job in jobs if isinstance(job, PredictionJob)])
            self._feedback([job for job in jobs if isinstance(job, OutcomeJob)])
        except Exception as error:
            # The jobs of a thread that dies would wait for ever.
            for job in jobs:
                job.result = error
        self._done(jobs)

    def _write(self, jobs: list[PredictionJob]) -> None:
        if not jobs:
            return
        try:
            begin = time.perf_counter()
            earlier = self._opened().write([one for job in jobs for one in job.predictions])
            jobs[0].seconds = time.perf_counter() - begin
        except JournalRecordError as error:
            if len(jobs) == 1:
                jobs[0].result = error
                return
            for job in jobs:  # the others are not to suffer for one
                self._write([job])
        except (JournalError, ValueError) as error:
            self._is_up = False
            for job in jobs:
                job.result = error
        else:
            for job in jobs:
                job.result = earlier

    def _feedback(self, jobs: list[OutcomeJob]) -> None:
        if not jobs:
            return
        try:
            statuses = self._opened().feedback([job.outcome for job in jobs], limits=self._limits)
        except JournalRecordError as error:
            if len(jobs) == 1:
                jobs[0].result = error
                return
            for job in jobs:
                self._feedback([job])
        except (JournalError, ValueError) as error:
            self._is_up = False
            for job in jobs:
                job.result = error
        else:
            for job, status in zip(jobs, statuses, strict=True):
                job.result = status

    def _opened(self) -> JournalStore:
        if self._store is None:
            self._store = self._open_store()
        return self._store

    def _recover(self) -> None:
        try:
            store = self._opened()
            store.probe()
            salt = store.salt()
        except Exception as error:  # whatever it is, the thread has to try again
            self._pause = min(max(2 * self._pause, _FIRST_PAUSE), _LONGEST_PAUSE)
            self._next_try = time.monotonic() + self._pause
            if self._store is not None:
                self._store.close()
                self._store = None
            self._still_down(str(error))
            return
        self._pause, self._is_up, self._next_look = 0.0, True, 0.0
        self._up(salt)

    def _replay(self) -> None:
        self._next_look = time.monotonic() + _LOOK_FOR_FILES
        if not self._folder.is_dir():
            return
        try:
            result = replay(self._folder, self._opened(), limits=self._limits, between=lambda: self._serve(0.0))
        except (JournalError, ValueError) as error:
            self._is_up = False
            self._still_down(str(error))
            return
        except OSError:
            return  # of the spill folder: the journal itself works
        if result != Replayed():
            self._replayed(result)
