"""From a checkpoint to scored tables: packages."""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import ROOT, alternate, median
from benchmarks.page import table, verdict
from tests.packages import LABELS, small_package

NUM_KILLS = 20
KILLED = (
    ("export", "packaging/export/test_killed.py", "killed", f"{NUM_KILLS}"),
    (
        "register, promote, rollback",
        "registry/promotion/test_kills.py",
        "kill",
        f"before every step, and {NUM_KILLS} at random",
    ),
    ("score", "scoring/test_score.py", "twenty_kills", f"{NUM_KILLS}"),
)
"""A step, the tests below tests/lightning_app that kill it, their names, and how often it is killed."""


def first_answer() -> str:
    """A process that has imported nothing yet, until a package has answered."""
    with tempfile.TemporaryDirectory() as place:
        folder = small_package(Path(place) / "package", columns=None, num_features=32, labels=LABELS)
        (costs,) = alternate(9, ("first_answer", str(folder)))
    parts = {key: median(costs, key) for key in ("import_s", "load_s", "answer_s", "seconds", "resident_mib")}
    cpu = statistics.median(cost.cpu_seconds for cost in costs)
    return (
        "A perceptron of 32 features as a package: `Package` imported, loaded with every checksum and the golden request, "
        f"one row answered; medians of 9 processes. Of the seconds, {parts['import_s']:.2f} are imports, "
        f"{parts['load_s']:.2f} loading; the whole process took {cpu:.2f} s of CPU time.\n\n"
    ) + table(
        "|measured|aim|",
        f"seconds until the first answer|{parts['seconds']:.2f}|0.8|{verdict(parts['seconds'] <= 0.8)}",
        f"MiB resident at most|{parts['resident_mib']:.0f}|130|{verdict(parts['resident_mib'] <= 130)}",
    )


def half_states() -> str:
    """The tests that kill what changes something, each as a process of its own."""
    rows = []
    for step, path, name, kills in KILLED:
        command = [sys.executable, "-m", "pytest", "-q", "-m", "slow or not slow", "-k", name]
        environment = {**os.environ, "LIGHTNING_APP_KILLS": str(NUM_KILLS)}
        found = subprocess.run(
            [*command, f"tests/lightning_app/{path}"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        said = found.stdout.strip().splitlines()[-1].split(" in ")[0]
        rows.append(f"{step}|{kills}|{said}|{verdict(found.returncode == 0)}")
    return (
        "SIGKILL at random points or before each step; afterwards the old state or the new one must be whole.\n\n"
        + (table("|kills|tests|no half state", *rows))
    )


SECTIONS: dict[str, Callable[[], str]] = {"first_answer": first_answer, "half_states": half_states}
