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


def raw_rows() -> str:
    """One forecast from a raw table, beside the same window cut beforehand."""
    with tempfile.TemporaryDirectory() as place:
        config = str(ROOT / "configs" / "forecasting" / "co2_ridge.yaml")
        for words in (
            ("fit", "-c", config, "--run.root", place),
            ("export", "best", "-c", config, "--output", f"{place}/package", "--", "--run.root", place),
        ):
            subprocess.run(
                [sys.executable, "-m", "lightning_app", *words], check=True, cwd=ROOT, stdout=subprocess.DEVNULL,
                env={**os.environ, "WANDB_MODE": "disabled"},
            )  # fmt: skip
        (costs,) = alternate(3, ("raw_rows", f"{place}/package"))
    spent = {name: median(costs, name) for name in ("window", "window_table", "raw", "raw_text", "raw_repaired")}
    overhead = spent["raw"] - spent["window"]
    rows = {
        "window": "a window as a dict of arrays",
        "window_table": "a window in a cell of a table",
        "raw": "raw rows, timestamps",
        "raw_text": "raw rows, times as text",
        "raw_repaired": "raw rows, one value to fill",
    }
    return (
        f"`co2_ridge` as a package, {costs[0].answer['look_back']} rows of history, 1 forecast: medians of 2,000 calls in "
        "each of 3 processes, in turn; raw rows are answered with names and times. Overhead of raw rows with timestamps "
        f"over the window cut beforehand: {overhead:.2f} ms, aim 0.3 ms: {verdict(overhead <= 0.3)}.\n\n"
    ) + table("request|ms, median", *(f"{what}|{spent[name]:.3f}" for name, what in rows.items()))


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


SECTIONS: dict[str, Callable[[], str]] = {
    "first_answer": first_answer,
    "raw_rows": raw_rows,
    "half_states": half_states,
}
