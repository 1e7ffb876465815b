"""CommandExecutor: training as a job of a queue, started, looked for and ended by commands that name it."""

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from typing_extensions import override

from features.definitions.duration import seconds
from lightning_app.retraining.config.executor_config import CommandExecutorConfig
from lightning_app.retraining.executors.executor import Executor, Handle, Job, Running, Status, read_result
from lightning_app.retraining.executors.filled import filled, name_of
from lightning_app.retraining.executors.unlisted import listed, unlisted

_STOP_SECONDS = 60.0
_PAUSE = 0.5


class CommandExecutor(Executor):
    """Runs a job by commands; the job is found by its name, so nothing is lost between its start and its handle.

    Args:
        config: The commands; with `poll` and `stop`.
    """

    def __init__(self, config: CommandExecutorConfig) -> None:
        assert config.poll is not None
        assert config.stop is not None
        self._start, self._poll, self._stop, self._input = config.start, config.poll, config.stop, config.input
        self._settle, self._timeout = seconds(config.settle), seconds(config.timeout)

    @override
    def start(self, job: Job) -> Handle:
        handle: Handle = {"name": name_of(job), "started": time.time()}
        if read_result(job.folder) is not None or self._lists(job):
            return handle
        if job.attempt > 1 and self._lists(job, attempt=job.attempt - 1):
            raise OSError(f"an earlier attempt of cycle {job.cycle_id} still runs")
        text = None if self._input is None else filled(Path(self._input).read_text(encoding="utf-8"), job)
        self._run(self._start, job, text=text)
        return handle

    @override
    def poll(self, job: Job, handle: Handle) -> Status:
        if (status := read_result(job.folder)) is not None:
            return status
        try:
            words = self._lists(job)
        except OSError as error:  # a queue that is away for a while does not end a job
            return Running(words=f"it is not known whether it runs: {error}")
        if words:
            listed(job)
            return Running(words=words)
        return unlisted(job, settle=self._settle, words=f"the job {name_of(job)} has ended")

    @override
    def stop(self, job: Job, handle: Handle) -> None:
        until = time.monotonic() + _STOP_SECONDS
        self._run(self._stop, job)
        while self._lists(job):
            if time.monotonic() > until:
                raise OSError(f"the job {name_of(job)} is still listed {_STOP_SECONDS:g} s after it was stopped")
            time.sleep(_PAUSE)

    def _lists(self, job: Job, *, attempt: int | None = None) -> str:
        """First line that the queue prints of a job; empty if it neither waits nor runs."""
        lines = self._run(self._poll, job, attempt=attempt).split("\n")
        return next((line.strip() for line in lines if line.strip()), "")

    def _run(self, words: Sequence[str], job: Job, *, attempt: int | None = None, text: str | None = None) -> str:
        """Runs a command; what it prints.

        Raises:
            OSError: It cannot be run, fails, or takes too long.
        """
        command = [filled(word, job, attempt=attempt) for word in words]
        given = {"stdin": subprocess.DEVNULL} if text is None else {"input": text}
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=self._timeout, check=False, **given
            )  # type: ignore[call-overload]
        except subprocess.TimeoutExpired as error:
            raise OSError(f"{command[0]} takes longer than {self._timeout:g} s") from error
        if done.returncode != 0:
            said = [line.strip() for line in (done.stderr or done.stdout).split("\n") if line.strip()]
            raise OSError(
                f"{command[0]} failed with exit code {done.returncode}: {said[-1][:300] if said else 'no words'}"
            )
        return str(done.stdout)
