"""Runs a program in a process of its own and says what it cost."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Cost:
    """One finished process.

    Attributes:
        answer: What it printed as JSON in its last line.
        cpu_seconds: User and system time of the process and its children.
        peak_mib: Largest resident memory of the process.
    """

    answer: dict[str, Any]
    cpu_seconds: float
    peak_mib: float


def run(program: str, *arguments: str, python: str = sys.executable) -> Cost:
    """Runs `benchmarks/programs/<program>.py` on one thread.

    Args:
        program: Name of the program.
        arguments: Its arguments.
        python: Interpreter, for peers that live in an environment of their own.
    """
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "WANDB_MODE": "disabled",
        "PYTHONPATH": str(ROOT) if python == sys.executable else "",
    }
    path = ROOT / "benchmarks" / "programs" / f"{program}.py"
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen([python, str(path), *arguments], env=environment, stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        printed, complaints = output.read(), errors.read()
    if process.returncode:
        raise RuntimeError(f"{program} {' '.join(arguments)} failed:\n{printed[-2000:]}\n{complaints[-4000:]}")
    answer = json.loads(printed.strip().splitlines()[-1])
    return Cost(answer, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def alternate(times: int, *jobs: Sequence[str]) -> list[list[Cost]]:
    """Runs jobs in turn, A B A B, so that a machine that drifts drifts for all of them.

    Args:
        times: How often each job runs.
        jobs: Arguments of `run`; `python=...` as the last word chooses the interpreter.
    """
    found: list[list[Cost]] = [[] for _ in jobs]
    for _ in range(times):
        for costs, job in zip(found, jobs, strict=True):
            words = [word for word in job if not word.startswith("python=")]
            python = next((word.removeprefix("python=") for word in job if word.startswith("python=")), sys.executable)
            costs.append(run(*words, python=python))
    return found


def median(costs: Sequence[Cost], key: str) -> float:
    """Median of a value that the programs printed."""
    return statistics.median(float(cost.answer[key]) for cost in costs)


def median_peak(costs: Sequence[Cost]) -> float:
    """Median of the peak memory in MiB."""
    return statistics.median(cost.peak_mib for cost in costs)
