"""Commands in processes forked from one that has imported everything: an import takes longer than a fit."""

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
CPU_SECONDS: list[float] = []
"""Of each command: the system counts them to this process at its end, when the server has ended."""
_SERVERS: list[subprocess.Popen[str]] = []


def run_jobs(jobs: Sequence[dict[str, Any]]) -> list[int]:
    """Runs command lines one after another, each in a process of its own.

    Args:
        jobs: `args` of `lightning-app`, and optionally `interrupt`: [batch, moment, signal].

    Returns:
        Exit code of each, negative for a signal; none is 2.
    """
    codes = []
    for job in jobs:
        code, output = run_forked(job["args"], interrupt=job.get("interrupt"))
        assert code != 2, output
        codes.append(code)
    return codes


def run_forked(
    args: Sequence[str], *, interrupt: list[Any] | None = None, environment: dict[str, str] | None = None
) -> tuple[int, str]:
    """Runs one command line in the working folder of the test.

    Args:
        args: Of `lightning-app`.
        interrupt: Batch, moment and signal for the callback `tests.interrupt.Interrupt`.
        environment: All of it; None takes that of the test.

    Returns:
        Exit code, negative for a signal, and all that was printed.
    """
    variables = dict(os.environ if environment is None else environment)
    variables["INTERRUPT"] = json.dumps(interrupt or [-1, "train", 9])
    with tempfile.NamedTemporaryFile("r") as output:
        job = {"args": list(args), "folder": str(Path.cwd()), "environment": variables, "output": output.name}
        server = _server()
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            server.stdin.write(json.dumps(job) + "\n")
            server.stdin.flush()
            code, seconds = json.loads(server.stdout.readline())
            CPU_SECONDS.append(seconds)
            return code, output.read()
        except BaseException:  # a timeout, for one: the next test shall not get the answer to this one
            _SERVERS.pop().kill()
            raise


def _server() -> subprocess.Popen[str]:
    if not _SERVERS:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.forked"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )
        _SERVERS.append(server)
        atexit.register(_end, server)
    return _SERVERS[0]


def _end(server: subprocess.Popen[str]) -> None:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        server.communicate(timeout=10)  # closes its input
    server.kill()
    server.wait()


def _serve() -> None:
    """Forks a process for each line of standard input, and writes its exit code when it has ended."""
    import torch
    import wandb  # noqa: F401

    import lightning_app.cli.app_cli  # noqa: F401  # what every fork would otherwise import again

    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        job = json.loads(line)
        if any("graph" in word for word in job["args"]):
            import sklearn.neighbors  # noqa: F401

            import models.graph  # noqa: F401
        before = os.times()
        child = os.fork()
        if child == 0:
            answers.close()
            _become(job)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # loader workers that a killed fit left behind
        after = os.times()
        seconds = after.children_user + after.children_system - before.children_user - before.children_system
        answers.write(json.dumps([code, seconds]) + "\n")


def _become(job: dict[str, Any]) -> None:
    """Runs a command in this process and ends it."""
    code = 1
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        nothing, output = os.open(os.devnull, os.O_RDONLY), os.open(job["output"], os.O_WRONLY | os.O_APPEND)
        for source, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        os.environ.clear()
        os.environ.update(job["environment"])
        os.chdir(job["folder"])
        sys.argv = ["lightning-app", *job["args"]]
        from lightning_app.__main__ import main

        code = main(job["args"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
