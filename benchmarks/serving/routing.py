"""Cost of routing: a split, a shadow of 10 % and a breaker with its fallback, against the server without them."""

import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.page import table, verdict
from benchmarks.serving.effort import FULL, Effort
from benchmarks.serving.load import Load, closed_loop, open_loop
from benchmarks.serving.packages import one_row, small
from benchmarks.serving.servers import new_key, ours, request

_ON, _OFF = "split, shadow of 10 %, breaker, fallback", "without"


def serving_routing(effort: Effort = FULL) -> str:
    """Split, shadow and breaker against the server without."""
    loads: dict[str, list[Load]] = {_ON: [], _OFF: []}
    paced: dict[str, list[Load]] = {_ON: [], _OFF: []}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        packages = [small(folder / name) for name in ("first", "second", "third")]
        key = new_key(folder)
        asked = request(folder, one_row(), key=key)
        options = {
            "experiment": {
                "name": "cost",
                "arms": [
                    {"name": "champion", "share": 0.5},
                    {"name": "challenger", "model": str(packages[1]), "share": 0.5},
                ],
            },
            "shadow": {"model": str(packages[2]), "sample": 0.1},
            "breaker": {},
            "fallback": [{"model": str(packages[2])}],
        }
        for _ in range(effort.rounds):
            for name, model_options in ((_OFF, None), (_ON, options)):
                with ours(folder, {"small": packages[0]}, model_options=model_options) as server:
                    if effort.warm_up:
                        closed_loop(server, asked, seconds=effort.warm_up)
                    loads[name].append(closed_loop(server, asked, seconds=effort.seconds))
                    paced[name].append(open_loop(server, asked, rate=effort.rate, seconds=effort.seconds))
    speed = _ratio(loads, lambda load: load.rps)
    tail = _ratio(paced, lambda load: load.p99_ms)
    rows = [f"{_cells(name, loads[name])}|{_cells('', paced[name])[1:]}" for name in (_OFF, _ON)]
    return (
        "Perceptron 32 -> 128 -> 3, one row as JSON, one worker, journal on; two versions share the requests, a third "
        f"is asked 10 % of them beside, journalled and compared. Medians of {effort.rounds} starts in turn: as fast "
        f"as 64 connections go (`wrk`), then {effort.rate:,.0f} requests/s, where latency counts from when a request was "
        "due. The shadow answers in the same process; ratios are medians over pairs of starts.\n\n"
        + table("|requests/s|p99 ms|CPU us per request|p50 ms, paced|p99 ms, paced|CPU us, paced", *rows)
        + "\n\n"
        + table(
            "|aim|measured|",
            f"requests/s|>= 0.9x|{speed:.2f}x|{verdict(speed >= 0.9)}",
            f"p99 at equal load|<= 1.05x|{tail:.2f}x|{verdict(tail <= 1.05)}",
        )
    )


def _ratio(loads: dict[str, list[Load]], value: Callable[[Load], float]) -> float:
    return statistics.median(value(on) / value(off) for on, off in zip(loads[_ON], loads[_OFF], strict=True))


def _cells(name: str, loads: Sequence[Load]) -> str:
    def middle(field: str) -> float:
        return statistics.median(float(getattr(load, field)) for load in loads)

    if not name:
        return f"|{middle('p50_ms'):.2f}|{middle('p99_ms'):.2f}|{middle('cpu_us'):.0f}"
    return f"{name}|{middle('rps'):,.0f}|{middle('p99_ms'):.1f}|{middle('cpu_us'):.0f}"
