"""Executor: starts the training of a cycle somewhere, and says how far it is."""

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

RESULT, JOB, ALIVE, LOG = "result.json", "job.json", "alive", "log.txt"
"""Files of an attempt: what came of it, what to do, touched while it runs, what it printed."""
OWNER = "owner"
"""File beside the attempts: attempt and process that run."""
_TAIL_BYTES = 4096
Handle: TypeAlias = dict[str, Any]
"""What an executor needs to find a job again, as JSON can hold it."""


class Job(Struct, frozen=True, kw_only=True):
    """An attempt of a training.

    `python -m lightning_app.retraining.training_job FOLDER` runs it: reads `job.json`, and writes `result.json`.

    Attributes:
        cycle_id: The cycle.
        attempt: The attempt, from 1.
        folder: Its folder, `.../job/ATTEMPT`.
    """

    cycle_id: str
    attempt: int
    folder: Path


class Result(Struct, frozen=True, kw_only=True):
    """What came of a job (`result.json`).

    Attributes:
        package: Folder of the package; None if the job failed.
        digest: Digest of the package.
        run: Folder of the run.
        start: What the weights started from, in words.
        device_minutes: Minutes for which it ran.
        failure: Why it failed; None if it did not.
    """

    package: str | None = None
    digest: str | None = None
    run: str | None = None
    start: str = "scratch"
    device_minutes: float
    failure: str | None = None


class Running(Struct, frozen=True, kw_only=True):
    """The job runs, or waits for its turn.

    Attributes:
        words: More about it.
    """

    words: str


class Done(Struct, frozen=True, kw_only=True):
    """The job has ended well.

    Attributes:
        result: What came of it.
    """

    result: Result


class Failed(Struct, frozen=True, kw_only=True):
    """The job has failed, or is gone.

    Attributes:
        reason: Why.
        device_minutes: Minutes for which it ran.
    """

    reason: str
    device_minutes: float


Status: TypeAlias = Running | Done | Failed


class Executor(ABC):
    """Runs jobs; every call may be repeated."""

    @abstractmethod
    def start(self, job: Job) -> Handle:
        """Starts a job, unless it was started before.

        Args:
            job: The job; its `job.json` is there.

        Returns:
            Its handle.

        Raises:
            OSError: It cannot be started now.
        """

    @abstractmethod
    def poll(self, job: Job, handle: Handle) -> Status:
        """How far a job is.

        Args:
            job: The job.
            handle: What `start` returned.
        """

    @abstractmethod
    def stop(self, job: Job, handle: Handle) -> None:
        """Ends a job and all its processes; nothing of it runs afterwards.

        Args:
            job: The job.
            handle: What `start` returned.

        Raises:
            OSError: It cannot be stopped now.
        """


def read_result(folder: Path) -> Done | Failed | None:
    """What `result.json` of an attempt says; None if it is not there.

    Args:
        folder: Folder of the attempt.
    """
    try:
        content = (folder / RESULT).read_bytes()
    except FileNotFoundError:
        return None
    result = msgspec.json.decode(content, type=Result)
    if result.failure is None:
        return Done(result=result)
    return Failed(reason=result.failure, device_minutes=result.device_minutes)


def minutes_alive(folder: Path) -> float:
    """Minutes for which an attempt ran that left no result, as far as its files say.

    Args:
        folder: Folder of the attempt.
    """
    try:
        return max(0.0, (folder / ALIVE).stat().st_mtime - (folder / JOB).stat().st_mtime) / 60
    except FileNotFoundError:
        return 0.0


def last_line(folder: Path) -> str:
    """Last line that an attempt printed.

    Args:
        folder: Folder of the attempt.
    """
    try:
        with (folder / LOG).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except FileNotFoundError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
