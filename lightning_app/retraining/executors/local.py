"""LocalExecutor: training as a process of this machine that outlives the tick which started it.

Whether it runs is asked of the kernel, not of a process id, which another process may have by now: the job and all its
processes inherit a locked file, and the lock is free when the last of them has ended, for whatever reason.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from typing_extensions import override

from lightning_app.retraining.executors.executor import (
    LOG,
    OWNER,
    Executor,
    Failed,
    Handle,
    Job,
    Running,
    Status,
    last_line,
    minutes_alive,
    read_result,
)
from lightning_app.serving.journal.stores.file_lock import FileLock

_PROGRAM = "lightning_app.retraining.training_job"
_STOP_SECONDS = 20.0


class LocalExecutor(Executor):
    """Runs a job as a detached process.

    Args:
        ends_with_tick: Whether a job cannot outlive the machine or container of its tick.
    """

    owner_file = OWNER
    """Name of the file in which the job says its attempt and process."""

    def __init__(self, *, ends_with_tick: bool = False) -> None:
        self._ends_with_tick = ends_with_tick

    def words(self, job: Job, descriptor: int) -> Sequence[str]:
        """Command of the process; it leads a session, and writes `owner_file`.

        Args:
            job: The job.
            descriptor: The locked file, which all processes of the job keep open.
        """
        return [sys.executable, "-P", "-m", _PROGRAM, str(job.folder), str(descriptor)]

    def gone(self, job: Job) -> Status:
        """Status of a job whose processes have ended.

        Args:
            job: The job.
        """
        gone = Failed(reason=_gone(job.folder), device_minutes=minutes_alive(job.folder))
        return read_result(job.folder) or gone

    @override
    def start(self, job: Job) -> Handle:
        handle: Handle = {"host": socket.gethostname(), "started": time.time()}
        if read_result(job.folder) is not None:
            return handle
        with closing(FileLock(_lock_file(job))) as lock:
            if not lock.acquire(seconds=0):
                if self._owner(job)[0] not in (0, job.attempt):
                    raise OSError(f"an earlier attempt of cycle {job.cycle_id} still runs")
                return handle
            descriptor = lock.descriptor
            (job.folder.parent / self.owner_file).unlink(missing_ok=True)  # the job itself writes it
            with (job.folder / LOG).open("ab") as log:
                subprocess.Popen(
                    self.words(job, descriptor), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    pass_fds=[descriptor], start_new_session=True,
                )  # fmt: skip
        return handle

    @override
    def poll(self, job: Job, handle: Handle) -> Status:
        if (status := read_result(job.folder)) is not None:
            return status
        if handle.get("host") != socket.gethostname():
            if not self._ends_with_tick:
                return Running(words=f"runs on {handle.get('host')}, this is {socket.gethostname()}")
        elif _is_held(job):
            return Running(words=last_line(job.folder) or "started")
        return self.gone(job)  # it may have written its result and ended in between

    @override
    def stop(self, job: Job, handle: Handle) -> None:
        until = time.monotonic() + _STOP_SECONDS
        while _is_held(job):
            process = self._owner(job)[1]
            if process:  # the lock is held, so its group still exists
                with suppress(ProcessLookupError):
                    os.killpg(process, signal.SIGKILL)
            if time.monotonic() > until:
                raise OSError(f"the training of cycle {job.cycle_id} cannot be stopped")
            time.sleep(0.05)

    def _owner(self, job: Job) -> tuple[int, int]:
        """Attempt and process of the job that was started last; zeros while that is being written."""
        with suppress(OSError, ValueError):
            attempt, process = (job.folder.parent / self.owner_file).read_text().split()
            return int(attempt), int(process)
        return 0, 0


def _lock_file(job: Job) -> Path:
    """One for all attempts, which share the folder of the run."""
    return job.folder.parent / "lock"


def _is_held(job: Job) -> bool:
    with closing(FileLock(_lock_file(job))) as lock:
        return not lock.acquire(seconds=0)


def _gone(folder: Path) -> str:
    last = last_line(folder)
    return (
        f"its processes ended without a result (killed, or the machine stopped){f'; last line: {last}' if last else ''}"
    )
