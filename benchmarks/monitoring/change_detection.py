"""Detectors of changes in errors: rows between false alarms, and rows until a change is found."""

from collections.abc import Callable
from functools import partial
from multiprocessing import get_context

import numpy as np

from benchmarks.monitoring.error_streams import Array, Errors, error_stream
from benchmarks.page import table, verdict
from lightning_app.drift.streaming import Adwin, Detector, GlrDetector, PageHinkley

_FIRST_SEED = 20_000
"""The threshold was simulated, and the default chosen, with seeds below."""
_KINDS: dict[str, tuple[Errors, float]] = {
    "wrong answers, 1 %": ("wrong answers", 0.01),
    "wrong answers, 10 %": ("wrong answers", 0.1),
    "wrong answers, 30 %": ("wrong answers", 0.3),
    "absolute errors": ("absolute errors", 1.0),
    "absolute errors, heavy tails": ("heavy-tailed errors", 1.0),
    "wrong answers, 10 %, dependent": ("dependent wrong answers", 0.1),
}
DETECTORS: dict[str, Callable[[bool], Detector]] = {
    "GlrDetector, 100,000 rows": lambda shares: GlrDetector(scale=None if shares else 1.0),
    "GlrDetector, 10,000 rows": lambda shares: GlrDetector(run_length=10_000, scale=None if shares else 1.0),
    "Adwin, 0.002": lambda shares: Adwin(),
    "Adwin, 0.05": lambda shares: Adwin(delta=0.05),
    "PageHinkley, 50": lambda shares: PageHinkley(),
}


def drift_run_length(runs: int = 40, rows: int = 100_000) -> str:
    """Rows between false alarms of the detectors of changes, on errors that do not change."""
    with get_context("spawn").Pool(2) as pool:
        lines = []
        for name, (kind, rate) in _KINDS.items():
            cells = []
            for detector in DETECTORS:
                count = sum(pool.map(partial(_false_alarms, detector, kind, rate, rows), range(runs)))
                cells.append(runs * rows / max(1, count) / (1 if count else -1))
            good = verdict(abs(cells[0]) >= 100_000 and abs(cells[1]) >= 10_000) if "dependent" not in name else ""
            lines.append(f"{name}|" + "|".join(_length(cell) for cell in cells) + f"|{good}")
    return (
        f"Streams of {rows:,} errors without a change, {runs} of each kind, seeds from {_FIRST_SEED:,}; a detector "
        "starts anew after each alarm. The stated number of rows of `GlrDetector` is the aim of its columns; Adwin and "
        "Page-Hinkley state none. Dependent: the rate of errors follows a wave with a correlation of 0.9 from row to "
        "row.\n\n"
    ) + table("|" + "|".join(DETECTORS) + "|aim", *lines)


def drift_detectors(runs: int = 40) -> str:
    """Rows until detectors find a rise of the error, on generated streams."""
    cases: dict[str, tuple[Errors, float, float, int]] = {
        "wrong answers, 2 % to 4 %": ("wrong answers", 0.02, 2.0, 1),
        "wrong answers, 10 % to 13 %": ("wrong answers", 0.1, 1.3, 1),
        "wrong answers, 10 % to 20 %": ("wrong answers", 0.1, 2.0, 1),
        "wrong answers, 30 % to 36 %": ("wrong answers", 0.3, 1.2, 1),
        "wrong answers, 10 % to 15 % over 5,000 rows": ("wrong answers", 0.1, 1.5, 5_000),
        "absolute errors, 10 % larger": ("absolute errors", 1.0, 1.1, 1),
        "absolute errors, 50 % larger": ("absolute errors", 1.0, 1.5, 1),
        "absolute errors, heavy tails, 30 % larger": ("heavy-tailed errors", 1.0, 1.3, 1),
    }
    with get_context("spawn").Pool(2) as pool:
        lines = []
        for name, (kind, rate, factor, over) in cases.items():
            cells = []
            for detector in DETECTORS:
                delays = np.array(pool.map(partial(_delay, detector, kind, rate, factor, over), range(runs)))
                cells.append(f"{_rows(float(np.median(delays)))} ({np.mean(np.isfinite(delays)):.0%})")
            lines.append(f"{name}|" + "|".join(cells))
    return (
        f"Change after 10,000 of 20,000 rows, {runs} streams each, seeds from {_FIRST_SEED:,}. Median of the rows "
        "until the first alarm after the change, and the share of streams with one.\n\n"
    ) + table("|" + "|".join(DETECTORS), *lines)


def _alarms(detector: Detector, errors: Array) -> list[int]:
    update = detector.update
    return [row for row, error in enumerate(errors.tolist()) if update(error)]


def _false_alarms(detector: str, kind: Errors, rate: float, rows: int, run: int) -> int:
    errors = error_stream(kind, rate, rows=rows, seed=_FIRST_SEED + run)
    return len(_alarms(DETECTORS[detector]("wrong" in kind), errors))


def _delay(detector: str, kind: Errors, rate: float, factor: float, over: int, run: int) -> float:
    errors = error_stream(
        kind, rate, rows=20_000, seed=_FIRST_SEED + run, change=10_000, factor=factor, over=over
    )  # fmt: skip
    late = [row - 10_000 for row in _alarms(DETECTORS[detector]("wrong" in kind), errors) if row >= 10_000]
    return float(late[0]) if late else np.inf


def _length(rows: float) -> str:
    return f"{rows:,.0f}" if rows > 0 else f"> {-rows:,.0f}"


def _rows(rows: float) -> str:
    return f"{rows:,.0f}" if np.isfinite(rows) else "-"


SECTIONS: dict[str, Callable[[], str]] = {"drift_run_length": drift_run_length, "drift_detectors": drift_detectors}
