"""Operation of a server: memory over many requests, time until ready, kills and reloads under load."""

import os
import re
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.measure import ROOT
from benchmarks.page import table, verdict
from benchmarks.serving.effort import FULL, Effort
from benchmarks.serving.load import closed_loop
from benchmarks.serving.packages import one_row, small
from benchmarks.serving.servers import new_key, ours, request

TESTS = "tests/lightning_app/serving/supervisor/test_under_load.py"
"""Kills and reloads are counted by the tests themselves."""
_MIB = 130.0
_GROWTH = 1.05


def serving_memory(effort: Effort = FULL) -> str:
    """Memory of one worker at the start and after many requests."""
    rows = []
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder = Path(place)
        package, key = small(folder / "small"), new_key(folder)
        asked = request(folder, one_row(), key=key)
        server = stack.enter_context(ours(folder, {"small": package}))
        measured = [(0, *server.memory_mib()[0])]
        done, slice_seconds = 0, 1.0
        for target in effort.requests:
            while done < target:
                done += closed_loop(server, asked, seconds=slice_seconds).requests
                slice_seconds = min(20.0, max(1.0, (target - done) * slice_seconds / max(1, done)))
            measured.append((done, *server.memory_mib()[0]))
        size = sum(path.stat().st_size for path in folder.glob("journal.db*")) / 2**20
    rows = [f"{count:,} requests|{resident:.0f}|{proportional:.0f}" for count, resident, proportional in measured]
    largest = max(resident for _, resident, _ in measured)
    growth = measured[-1][1] / measured[1][1]
    return (
        "Perceptron 32 -> 128 -> 3, `wrk -t1 -c64`, journal on; memory of the worker's process.\n\n"
        + table("after|resident MiB|proportional MiB", *rows)
        + "\n\n"
        + table(
            "|aim|measured|",
            f"resident|<= {_MIB:.0f} MiB|{largest:.0f} MiB|{verdict(largest <= _MIB)}",
            f"flat from {measured[1][0]:,} to {done:,} requests|<= {_GROWTH}x|{growth:.3f}x|{verdict(growth <= _GROWTH)}",
        )
        + f"\n\nThe journal grew to {size:,.0f} MiB, {size * 2**20 / done:,.0f} bytes per prediction."
    )


def serving_start(effort: Effort = FULL) -> str:
    """From the start of the command until the server is ready."""
    seconds, cpu = [], []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        package = small(folder / "small")
        new_key(folder)
        for _ in range(effort.starts):
            with ours(folder, {"small": package}) as server:
                seconds.append(server.ready_s)
                cpu.append(server.cpu_seconds())
    middle, worst = statistics.median(seconds), max(seconds)
    return (
        f"`lightning-app serve` with a package of 20 KB, until `/health/ready` answers 200; {effort.starts} starts, asked "
        "every 5 ms. The package is verified, replays its golden request and is measured for batching. CPU time until "
        f"then, supervisor and worker: {statistics.median(cpu):.2f} s.\n\n"
    ) + table("|aim|median|worst|", f"seconds until ready|<= 1.0|{middle:.2f}|{worst:.2f}|{verdict(middle <= 1.0)}")


def serving_kills(effort: Effort = FULL) -> str:
    """Kills and reloads under load: what was answered is in the journal once, and names its version."""
    rows = []
    for name, count, what in (
        (
            "kill",
            effort.kills,
            "SIGKILLs of a worker under load: answered predictions missing in the journal, or twice",
        ),
        ("reload", effort.reloads, "reloads under load: errors, and answers that name the wrong version"),
    ):
        environment = {**os.environ, "LIGHTNING_APP_KILLS": str(count), "LIGHTNING_APP_RELOADS": str(count)}
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "--timeout", "1800", "-k", name, TESTS]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        said = done.stdout.strip().splitlines()[-1].split(" in ")[0].strip("= ")
        is_reached = done.returncode == 0 and bool(re.search(r"\b[1-9]\d* passed", said))
        rows.append(f"{count} {what}|0|{said}|{verdict(is_reached)}")
    return "Each is a test that fails at the first one.\n\n" + table("|aim|tests|", *rows)
