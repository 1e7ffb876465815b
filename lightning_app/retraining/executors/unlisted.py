"""Unlisted jobs: ended, as far as their queue says; a shared folder may show their result only a moment later."""

import time
from contextlib import suppress
from pathlib import Path

from lightning_app.atomic_write import write_whole
from lightning_app.retraining.executors.executor import (
    Failed,
    Job,
    Running,
    Status,
    last_line,
    minutes_alive,
    read_result,
)

_UNLISTED = "unlisted_since"


def listed(job: Job) -> None:
    """Says that a job waits or runs.

    Args:
        job: The job.
    """
    (job.folder / _UNLISTED).unlink(missing_ok=True)


def unlisted(job: Job, *, settle: float, words: str) -> Status:
    """Status of a job that its queue does not list.

    Args:
        job: The job.
        settle: Seconds after which it has failed without a result.
        words: Why, as far as the queue says.
    """
    since, now = _since(job.folder / _UNLISTED), time.time()
    if (status := read_result(job.folder)) is not None:
        return status
    if now - since < settle:
        return Running(words="has ended, or is not listed yet")
    last = last_line(job.folder)
    reason = f"{words} without a result{f'; last line: {last}' if last else ''}"
    return Failed(reason=reason, device_minutes=minutes_alive(job.folder))


def _since(file: Path) -> float:
    now = time.time()
    with suppress(FileNotFoundError, ValueError):
        if (since := float(file.read_text())) <= now:  # else the clock was set back: waited for from now on
            return since
    write_whole(file, repr(now))
    return now
