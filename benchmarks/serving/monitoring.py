"""Cost of monitoring on the way from a request to its answer: latency and CPU of the worker, with and without."""

import statistics
import tempfile
from pathlib import Path

import yaml
from msgspec import Struct

from benchmarks.page import table, verdict
from benchmarks.serving.effort import FULL, Effort
from benchmarks.serving.load import Load, closed_loop, open_loop
from benchmarks.serving.packages import one_row, small
from benchmarks.serving.servers import new_key, ours, request

_ON, _OFF = "monitored every 5 s", "without"
_MODULES = ("serving.worker", "monitoring.process")


class _Measured(Struct, kw_only=True):
    """Paced load of one start."""

    load: Load
    worker_us: float
    monitor_seconds: float


def monitoring_cost(effort: Effort = FULL) -> str:
    """A monitored server against one that is not, at equal load."""
    measured: dict[str, list[_Measured]] = {_ON: [], _OFF: []}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        package = small(folder / "small")
        key = new_key(folder)
        asked = request(folder, one_row(), key=key)
        (folder / "monitor.yaml").write_text(yaml.safe_dump({"refresh": "5s", "packages": [str(package)]}))
        for _ in range(effort.rounds):
            for name in (_OFF, _ON):
                further = {"monitor": str(folder / "monitor.yaml")} if name == _ON else {}
                (folder / "journal.db").unlink(missing_ok=True)
                with ours(folder, {"small": package}, **further) as server:
                    if effort.warm_up:
                        closed_loop(server, asked, seconds=effort.warm_up)
                    before, monitor = (server.cpu_seconds_of(module) for module in _MODULES)
                    load = open_loop(server, asked, rate=effort.rate, seconds=effort.seconds)
                    after, spent = (server.cpu_seconds_of(module) for module in _MODULES)
                    worker_us = 1e6 * (after - before) / max(1, load.requests)
                    measured[name].append(_Measured(load=load, worker_us=worker_us, monitor_seconds=spent - monitor))
    pairs = list(zip(measured[_ON], measured[_OFF], strict=True))
    cpu = statistics.median(on.worker_us / off.worker_us for on, off in pairs)
    p50 = statistics.median(on.load.p50_ms / off.load.p50_ms for on, off in pairs)
    rows = [
        f"{name}|{_middle([one.worker_us for one in all_of]):.0f}|{_middle([one.load.p50_ms for one in all_of]):.2f}|"
        f"{_middle([one.load.p99_ms for one in all_of]):.2f}|"
        f"{_middle([one.monitor_seconds for one in all_of]):.2f}"
        for name, all_of in measured.items()
    ]
    return (
        f"One row as JSON, one worker, journal on, {effort.rate:,.0f} requests/s for {effort.seconds:g} s; medians of "
        f"{effort.rounds} starts in turn. The monitoring process (drift, history and page of everything that was "
        "answered, made anew again and again) runs beside the worker at a lower priority; a worker executes nothing of "
        "it, so what differs is what two processes on one machine take from each other.\n\n"
        + table("|CPU us of the worker per request|p50 ms|p99 ms|CPU s of the monitoring process", *rows)
        + "\n\n"
        + table(
            "|aim|measured|",
            f"CPU of the worker per request|1x, within 5 %|{cpu:.2f}x|{verdict(cpu <= 1.05)}",
            f"median latency|1x, within 5 %|{p50:.2f}x|{verdict(p50 <= 1.05)}",
        )
    )


def _middle(values: list[float]) -> float:
    return statistics.median(values)
