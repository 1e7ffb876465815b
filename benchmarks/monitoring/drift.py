"""Drift reports: how often they are wrong, what they find, and what they cost beside Evidently."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context

import numpy as np
import polars as pl

from benchmarks.measure import ROOT, alternate, median, median_peak, run
from benchmarks.monitoring.drift_tables import mixed_table
from benchmarks.page import table, verdict
from lightning_app.drift.reference import build_reference
from lightning_app.drift.report import drift_report
from lightning_app.drift.result import DriftSettings

PEER = ROOT / ".peer" / "evidently"
_ALPHA = 0.05
_FIRST_SEED = 100_000
"""Seeds below were looked at when the tests were chosen."""
_CASES = (
    (0.0, 5_000, 200), (0.0, 5_000, 2_000), (0.0, 5_000, 20_000), (0.5, 20_000, 1_000), (0.9, 20_000, 2_000),
    (0.9, 20_000, 10_000),
)  # fmt: skip


def drift_false_alarms(pairs: int = 500, *, processes: int = 2, cases: int = len(_CASES)) -> str:
    """Share of undrifted windows in which any column is called drifted, at a stated 5 % per report."""
    rows = []
    with get_context("spawn").Pool(processes) as pool:
        for autocorrelation, reference, window in _CASES[:cases]:
            judge = partial(_alarm, autocorrelation, reference, window)
            found = pool.map(judge, range(_FIRST_SEED, _FIRST_SEED + pairs), chunksize=10)
            rate = float(np.mean([any_column for any_column, _ in found]))
            columns = float(np.mean([count for _, count in found]))
            kind = f"series, autocorrelation {autocorrelation:g}" if autocorrelation else "independent rows"
            aim = verdict(0.03 <= rate <= 0.07)
            rows.append(f"{kind}|{reference:,}|{window:,}|{rate:.1%}|{columns:.3f}|3 to 7 %|{aim}")
    return (
        f"{pairs} pairs of a reference and a window from one distribution for each row, 20 columns: numbers, skewed "
        "numbers, counts, categories (8, and thousands by Zipf's law), a boolean, missing values, an answer and an "
        "outcome that depend on an input. Windows of a series are contiguous. Stated: drift in 5 % of the reports. "
        f"Seeds from {_FIRST_SEED:,}; nothing was tuned on these.\n\n"
    ) + table("|rows of the reference|rows of the window|reports with drift|columns per report|aim|", *rows)


def drift_power(pairs: int = 20, rows: int = 100_000) -> str:
    """Six of 30 columns moved by 0.1 standard deviations at 100,000 rows."""
    named, others = [], []
    for seed in range(_FIRST_SEED, _FIRST_SEED + pairs):
        random = np.random.default_rng(seed)
        before, now = (random.normal(size=(30, rows)) for _ in range(2))
        now[:6] += 0.1
        tables = [pl.DataFrame({f"x{place}": column for place, column in enumerate(one)}) for one in (before, now)]
        reference = build_reference(tables[0], roles=dict.fromkeys(tables[0].columns, "input"))
        result = drift_report(reference, tables[1], settings=DriftSettings(alpha=_ALPHA))
        found = {column.column for column in result.columns if column.drifted}
        shifted = {f"x{place}" for place in range(6)}
        named.append(len(found & shifted))
        others.append(len(found - shifted))
    lines = [
        f"moved columns named, of 6|{np.mean(named):.2f} (fewest {min(named)})|6|{verdict(min(named) == 6)}",
        f"other columns named, of 24|{np.mean(others):.2f} (most {max(others)})|<= 1|{verdict(float(np.mean(others)) <= 1)}",
    ]
    return (f"{pairs} pairs of {rows:,} rows and 30 columns, seeds from {_FIRST_SEED:,}.\n\n") + table(
        "|mean|aim|", *lines
    )


def drift_speed(rows: int = 1_000_000, times: int = 3) -> str:
    """A window of a million rows and 30 columns, beside Evidently's preset."""
    peer = _peer()
    with tempfile.TemporaryDirectory() as folder:
        size = run("drift_cost", "make", folder, str(rows)).answer["bytes"]
        ours, theirs = alternate(
            times, ["drift_cost", "ours", folder], ["drift_evidently_peer", folder, f"python={peer}"]
        )
    cpu = median(theirs, "cpu_s") / median(ours, "cpu_s")
    memory = median_peak(ours) / median_peak(theirs)
    lines = []
    for name, costs in (("drift_report", ours), ("Evidently 0.7.23, DataDriftPreset", theirs)):
        answer = costs[0].answer
        lines.append(
            f"{name}|{median(costs, 'cpu_s'):.2f}|{median(costs, 'wall_s'):.2f}|{median_peak(costs):,.0f}|"
            f"{answer['shifted']} of 6|{answer['others']}"
        )
    aims = (
        f"CPU {cpu:,.0f} times less (aim 100: {verdict(cpu >= 100)}), memory {memory:.2f} times theirs "
        f"(aim 0.5: {verdict(memory <= 0.5)})."
    )
    return (
        f"{rows:,} rows in memory, 30 columns, six of them moved by 0.1 standard deviations; medians of {times} processes "
        f"each in turn. Ours reads the reference that an export stores ({size / 1024:,.0f} KiB), Evidently compares two "
        f"tables. Imports and reading the tables do not count for seconds, but for memory. {aims}\n\n"
    ) + table("|CPU s|wall s|peak MiB|moved columns named|others named", *lines)


def _alarm(autocorrelation: float, reference_rows: int, window_rows: int, seed: int) -> tuple[bool, int]:
    random = np.random.default_rng(seed)
    before = mixed_table(random, reference_rows, autocorrelation=autocorrelation)
    reference = build_reference(before, roles=dict.fromkeys(before.columns, "input"))
    window = mixed_table(random, window_rows, autocorrelation=autocorrelation)
    result = drift_report(reference, window, settings=DriftSettings(alpha=_ALPHA))
    return result.drifted, sum(column.drifted for column in result.columns)


def _peer() -> str:
    if not (PEER / "bin" / "evidently").exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEER)], check=True)
        subprocess.run([str(PEER / "bin" / "pip"), "install", "--quiet", "evidently==0.7.23"], check=True)
    return str(PEER / "bin" / "python")


SECTIONS: dict[str, Callable[[], str]] = {
    "drift_speed": drift_speed, "drift_false_alarms": drift_false_alarms, "drift_power": drift_power,
}  # fmt: skip
