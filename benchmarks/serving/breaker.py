"""Staying up: a model fails, or hangs, for ten seconds under load; and what breaker and fallback cost without that."""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT
from benchmarks.page import table, verdict
from benchmarks.serving.effort import FULL, Effort
from benchmarks.serving.load import Load, closed_loop, open_loop
from benchmarks.serving.packages import FEATURES, HIDDEN, one_row, small
from benchmarks.serving.servers import new_key, ours, request
from tests.packages import LABELS, small_package

_RATE = 500.0
_DEADLINE_MS = 300.0
_FAULTS = {"error": "every call fails", "hang": "every call hangs", "delay": "every call takes 200 ms"}
_BREAKER = {"open_seconds": 1.0}


def serving_breaker(effort: Effort = FULL) -> str:
    """A model fails or hangs under 500 requests/s; a second version, then a constant, answer in its place."""
    seconds = min(10.0, 2 * effort.seconds)
    rows, reached = [], []
    for kind, what in _FAULTS.items():
        with tempfile.TemporaryDirectory() as place:
            told = _under_fault(Path(place), kind, seconds)
        lost = told["unanswered"] + told["late"]
        reached.append(lost == 0)
        (p50, p99), (p50_before, p99_before) = told["during_ms"], told["before_ms"]
        closed = max(0.0, told["lasted_s"] - seconds) if told["lasted_s"] is not None else None
        rows.append(
            f"{what}|{lost}|{100 * told['degraded'] / told['requests']:.0f} %|{_number(p50_before)} / "
            f"{_number(p99_before)}|{_number(p50)} / {_number(p99)}|{told['worst_ms']:.0f}|{_seconds(told['opened_s'])}|"
            f"{_seconds(closed)}"
        )
    return (
        f"Perceptron {FEATURES} -> {HIDDEN} -> 3, one worker, journal on; {_RATE:.0f} requests/s, a deadline of "
        f"{_DEADLINE_MS:.0f} ms, faults for {seconds:.0f} s (`--chaos`), then the model works again. The fallback is "
        "another version, and a constant after it. Latency counts from when a request was due. A breaker that is open "
        f"tries again after {_BREAKER['open_seconds']:g} s.\n\n"
        + table(
            "|not answered within the deadline|degraded|p50 / p99 ms before|p50 / p99 ms meanwhile|worst ms|"
            "s until it opened|s until all answers were its own again",
            *rows,
        )
        + "\n\n"
        + table("|aim|measured|", f"requests without an answer within the deadline|0|{_lost(reached)}")
    )


def serving_breaker_cost(effort: Effort = FULL) -> str:
    """Breaker and fallback configured, nothing fails: against the same server without."""
    kinds: dict[str, dict[str, Any]] = {"without": {}, "with breaker and fallback": {"fallback": None}}
    fast: dict[str, list[Load]] = {kind: [] for kind in kinds}
    paced: dict[str, list[Load]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        package, other, key = small(folder / "small"), _other(folder / "other"), new_key(folder)
        asked = request(folder, one_row(), key=key)
        kinds["with breaker and fallback"] = {"fallback": _chain(other), "breaker": _BREAKER}
        for _ in range(effort.rounds):
            for kind, options in kinds.items():
                with ours(folder, {"small": package}, model_options=options) as server:
                    if effort.warm_up:
                        closed_loop(server, asked, seconds=effort.warm_up)
                    fast[kind].append(closed_loop(server, asked, seconds=effort.seconds))
                    paced[kind].append(open_loop(server, asked, rate=effort.rate, seconds=effort.seconds))
    rows = []
    for kind in kinds:
        cpu = statistics.median(load.cpu_us for load in fast[kind])
        rows.append(
            f"{kind}|{_median(fast[kind], 'rps'):,.0f}|{cpu:.0f}|{_median(fast[kind], 'p99_ms'):.2f}|"
            f"{_median(paced[kind], 'p50_ms'):.2f}|{_median(paced[kind], 'p99_ms'):.2f}"
        )
    share = _median(fast["with breaker and fallback"], "rps") / _median(fast["without"], "rps")
    tail = _median(paced["with breaker and fallback"], "p99_ms") / _median(paced["without"], "p99_ms")
    return (
        f"As above, without faults: `wrk -t1 -c64`, then {effort.rate:,.0f} requests/s; medians of {effort.rounds} rounds "
        "in turn.\n\n"
        + table(
            f"|requests/s|CPU us per request|p99 ms|p50 ms at {effort.rate:,.0f}/s|p99 ms at {effort.rate:,.0f}/s",
            *rows,
        )
        + "\n\n"
        + table(
            "|aim|measured|",
            f"requests/s against without|>= 0.9x|{share:.3f}x|{verdict(share >= 0.9)}",
            f"p99 at {effort.rate:,.0f}/s against without|<= 1.05x|{tail:.3f}x|{verdict(tail <= 1.05)}",
        )
    )


def _under_fault(folder: Path, kind: str, seconds: float) -> dict[str, Any]:
    package, other, key = small(folder / "small"), _other(folder / "other"), new_key(folder)
    asked = request(folder, one_row(), key=key)
    quiet = 4.0
    fault = {"kind": kind, "arm": "champion", "after": quiet, "seconds": seconds, "delay_ms": 200.0}
    options = {"fallback": _chain(other), "breaker": _BREAKER, "deadline_ms": _DEADLINE_MS}
    with ours(folder, {"small": package}, model_options=options, chaos={"faults": [fault]}) as server:
        program = ROOT / "benchmarks" / "programs" / "faulty_load.py"
        url = f"http://127.0.0.1:{server.port}/predict"
        words = [url, str(asked.body), key, str(_RATE), str(quiet + seconds + 4), str(_DEADLINE_MS)]
        done = subprocess.run([sys.executable, str(program), *words], capture_output=True, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _other(folder: Path) -> Path:
    return small_package(
        folder, name="small", columns=None, num_features=FEATURES, hidden_size=HIDDEN, labels=LABELS, seed=1
    )


def _chain(other: Path) -> list[dict[str, Any]]:
    return [{"model": str(other)}, {"constant": {"probabilities": [0.2, 0.5, 0.3]}}]


def _median(loads: list[Load], name: str) -> float:
    return statistics.median(getattr(load, name) for load in loads)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _lost(reached: list[bool]) -> str:
    return f"{'0' if all(reached) else 'see above'}|{verdict(all(reached))}"
