"""Training job: runs the commands of `job.json`, and writes what came of them as a whole."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from lightning_app.atomic_write import write_whole
from lightning_app.errors import describe
from lightning_app.retraining.executors.executor import ALIVE, LOG, OWNER, RESULT, Result, last_line, read_result
from lightning_app.retraining.training_job.commands import (
    export_words,
    fit_words,
    fitted_run,
    sweep_folder,
    sweep_words,
)
from lightning_app.retraining.training_job.job_file import JobFile, read_job_file

_PR_SET_PDEATHSIG = 1
_PAUSE = 0.5


def main(folder: Path, *, inherited: tuple[int, ...] = ()) -> int:
    """Runs a job.

    Args:
        folder: Folder of the attempt.
        inherited: File descriptors that every process of the job keeps open.

    Returns:
        Exit code.
    """
    if read_result(folder) is not None:
        return 0
    job, began = read_job_file(folder), time.monotonic()
    write_whole(folder.parent / OWNER, f"{job.attempt} {os.getpid()}")
    try:
        result = _train(job, folder, inherited)
        failure = None
    except Exception as error:
        result, failure = Result(device_minutes=0), describe(error)
    minutes = (time.monotonic() - began) / 60
    result = msgspec.structs.replace(result, device_minutes=minutes, failure=failure, start=job.start)
    write_whole(folder / RESULT, msgspec.json.format(msgspec.json.encode(result)).decode())
    return 0 if failure is None else 1


def _train(job: JobFile, folder: Path, inherited: tuple[int, ...]) -> Result:
    from lightning_app.packaging import Package

    if job.sweep is not None and not (sweep_folder(job) / "best.yaml").exists():
        _run(sweep_words(job), job, folder, inherited)
    _run(fit_words(job), job, folder, inherited)
    run = fitted_run(job)
    if run is None:
        raise RuntimeError(f"the fit left no checkpoint in {job.runs}")
    _run(export_words(job, run), job, folder, inherited)
    return Result(package=job.package, digest=Package.load(job.package).digest, run=str(run), device_minutes=0)


def _run(words: list[str], job: JobFile, folder: Path, inherited: tuple[int, ...]) -> None:
    """Runs a command, and says every moment that the job is alive.

    Raises:
        RuntimeError: It failed; with its last line.
    """
    print("lightning-app", *words, flush=True)  # noqa: T201
    child = subprocess.Popen(
        [sys.executable, "-m", "lightning_app", *words], cwd=job.working_folder, pass_fds=inherited,
        stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent,
    )  # fmt: skip
    while (code := child.poll()) is None:
        (folder / ALIVE).touch()
        time.sleep(_PAUSE)
    if code != 0:
        ended = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
        raise RuntimeError(f"{words[0]} {ended}: {last_line(folder) if (folder / LOG).is_file() else 'see its output'}")


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    place, *descriptors = sys.argv[1:]
    sys.exit(main(Path(place), inherited=tuple(int(descriptor) for descriptor in descriptors)))
