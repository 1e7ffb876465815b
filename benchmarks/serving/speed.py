"""Requests per second and latency: side by side with LitServe and FastAPI, paced, with batching, and of raw rows."""

import io
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from benchmarks.page import table, verdict
from benchmarks.serving.effort import FULL, Effort
from benchmarks.serving.load import Load, Request, closed_loop, open_loop
from benchmarks.serving.packages import forecaster, one_row, raw_rows, small, wide
from benchmarks.serving.processes import Server
from benchmarks.serving.servers import fastapi, litserve, new_key, ours, request

ARROW = "application/vnd.apache.arrow.stream"
_COLUMNS = "|requests/s|p50 ms|p95 ms|p99 ms|CPU us per request|errors"
Start = Callable[[], AbstractContextManager[Server]]


def serving_speed(effort: Effort = FULL) -> str:
    """The whole path beside LitServe with batching and FastAPI doing nothing but predict."""
    with _folder() as folder:
        package, key = small(folder / "small"), new_key(folder)
        asked = request(folder, one_row(), key=key)
        loads, memory = in_turn(
            {
                "ours, one worker": lambda: ours(folder, {"small": package}),
                "LitServe 0.2.19, batches of 64, 2 ms": lambda: litserve(package),
                "FastAPI and uvicorn": lambda: fastapi(package),
            },
            dict.fromkeys(("ours, one worker", "LitServe 0.2.19, batches of 64, 2 ms", "FastAPI and uvicorn"), asked),
            effort,
        )
    own, lit, plain = loads.values()
    rows = [f"{_cells(name, of)}|{statistics.median(memory[name]):.0f}" for name, of in loads.items()]
    to_lit, to_plain = _rps(own) / _rps(lit), _rps(own) / _rps(plain)
    p99s = _median(own, "p99_ms"), _median(lit, "p99_ms")
    return (
        "Perceptron 32 -> 128 -> 3, the same ONNX file and one thread of ONNX Runtime everywhere; one row of 32 floats as "
        f"JSON, `wrk -t1 -c64` with connections kept; medians of {effort.rounds} starts in turn, {effort.seconds:.0f} s "
        "each. Ours: key checked, row validated, batcher, metrics, prediction committed to the journal (SQLite) before "
        "the answer is sent. LitServe batches, FastAPI (async endpoint, pydantic, httptools and uvloop) does not; neither "
        "has a key, a journal or metrics. CPU and memory: all processes of a server.\n\n"
        + table(f"{_COLUMNS}|MiB (PSS)", *rows)
        + "\n\n"
        + table(
            "|aim|measured|",
            f"requests/s to LitServe|>= 5x|{to_lit:.1f}x|{verdict(to_lit >= 5)}",
            f"p99 to LitServe|lower|{p99s[0]:.1f} ms to {p99s[1]:.1f} ms|{verdict(p99s[0] < p99s[1])}",
            f"requests/s to FastAPI|>= 0.8x|{to_plain:.2f}x|{verdict(to_plain >= 0.8)}",
        )
    )


def serving_paced(effort: Effort = FULL) -> str:
    """Latency at 1,000 requests per second."""
    with _folder() as folder:
        package, key = small(folder / "small"), new_key(folder)
        asked = request(folder, one_row(), key=key)
        loads = []
        for _ in range(effort.rounds):
            with ours(folder, {"small": package}) as server:
                loads.append(_warmed(server, asked, effort, rate=effort.rate))
    p50, p95, p99 = (_median(loads, f"p{quantile}_ms") for quantile in (50, 95, 99))
    return (
        f"As before, {effort.rate:,.0f} requests/s over 64 connections by a generator of this project (asyncio; in the "
        "same two cores): latency counts from when a request was due, sent or not, so a stall counts for all that would "
        f"have come meanwhile. Medians of {effort.rounds} starts.\n\n"
        + table(_COLUMNS, _cells("ours, one worker", loads))
        + "\n\n"
        + table(
            "|aim|measured|",
            f"p50|<= 6 ms|{p50:.2f} ms|{verdict(p50 <= 6)}",
            f"p95|<= 12 ms|{p95:.2f} ms|{verdict(p95 <= 12)}",
            f"p99|<= 25 ms|{p99:.2f} ms|{verdict(p99 <= 25)}",
        )
    )


def serving_batching(effort: Effort = FULL) -> str:
    """A perceptron of 2.1 million parameters, with batching as measured at load and without."""
    with _folder() as folder:
        package, key = wide(folder / "wide"), new_key(folder)
        asked = request(folder, one_row(), key=key)
        starts: dict[str, Start] = {
            name: lambda name=name: ours(folder, {"wide": package}, model_options={"batching": name})  # type: ignore[misc]
            for name in ("auto", "off")
        }
        requests = dict.fromkeys(starts, asked)
        loads, _ = in_turn(starts, requests, effort)
        rate = min(effort.rate, 0.6 * _rps(loads["off"])) if effort.rate < 1_000 else 0.6 * _rps(loads["off"])
        paced, _ = in_turn(starts, requests, effort, rate=rate)
    faster = _rps(loads["auto"]) / _rps(loads["off"])
    p99s = [_median(loads[name], "p99_ms") for name in ("auto", "off")]
    equal = _median(paced["auto"], "p99_ms") / _median(paced["off"], "p99_ms")
    return (
        "Perceptron 32 -> 1024 -> 1024 -> 1024 -> 3, everything else as above. `auto` decides at load from the measured "
        f"time of batches. Equal load: {rate:,.0f} requests/s, 60 % of what the server does without batching.\n\n"
        + table(
            _COLUMNS,
            *(_cells(f"batching {name}", of) for name, of in loads.items()),
            *(_cells(f"batching {name}, equal load", of) for name, of in paced.items()),
        )
        + "\n\n"
        + table(
            "|aim|measured|",
            f"requests/s with batching|>= 1.4x|{faster:.2f}x|{verdict(faster >= 1.4)}",
            f"p99 with batching|lower|{p99s[0]:.1f} ms to {p99s[1]:.1f} ms|{verdict(p99s[0] < p99s[1])}",
            f"p99 at equal load|<= 1.2x|{equal:.2f}x|{verdict(equal <= 1.2)}",
        )
    )


def serving_forecaster(effort: Effort = FULL) -> str:
    """Forecasts from raw rows, 504 rows of 7 columns as JSON and as Arrow."""
    with _folder() as folder:
        package, key = forecaster(folder / "forecaster"), new_key(folder)
        rows = raw_rows(package)
        arrow = io.BytesIO()
        rows.write_ipc_stream(arrow)
        (time,) = [name for name, dtype in rows.schema.items() if dtype.is_temporal()]
        records = rows.with_columns(rows[time].dt.strftime("%Y-%m-%d %H:%M:%S")).to_dicts()
        requests = {
            "JSON, records": request(folder, {"records": records}, name="records", key=key),
            "JSON, columns": request(folder, {"columns": _columns(records)}, name="columns", key=key),
            "Arrow stream": request(folder, arrow.getvalue(), name="arrow", content_type=ARROW, key=key),
        }
        loads, _ = in_turn({name: lambda: ours(folder, {"phase": package}) for name in requests}, requests, effort)
        sizes = {name: asked.body.stat().st_size for name, asked in requests.items()}
    text, columns, binary = loads.values()
    ratio, cpu = _rps(binary) / _rps(text), _median(text, "cpu_us") / _median(binary, "cpu_us")
    return (
        "Phase transformer of `etth1_phase`, a forecast of 96 hours from 504 raw rows of 7 columns and their times; "
        "parsing, checks, contract, windows, answer with names and times, journal; `wrk -t1 -c64`, one worker.\n\n"
        + table(
            f"{_COLUMNS}|body, KB",
            *(f"{_cells(name, of)}|{sizes[name] / 1e3:.1f}" for name, of in loads.items()),
        )
        + "\n\n"
        + table(
            "|aim|measured|",
            f"requests/s of Arrow to records|>= 3x|{ratio:.2f}x (CPU {cpu:.2f}x)|{verdict(ratio >= 3)}",
            f"requests/s of columns to records|-|{_rps(columns) / _rps(text):.2f}x|",
        )
    )


def in_turn(
    starts: Mapping[str, Start], requests: Mapping[str, Request], effort: Effort, *, rate: float | None = None
) -> tuple[dict[str, list[Load]], dict[str, list[float]]]:
    """Starts and measures servers in turn, A B C A B C, so that a machine that drifts drifts for all of them.

    Args:
        starts: How each is started.
        requests: What each is asked.
        effort: How long and how often.
        rate: Requests per second; None for as many as there can be.

    Returns:
        loads: What each did in each round.
        memory: Its proportional memory afterwards in MiB, all processes.
    """
    loads: dict[str, list[Load]] = {name: [] for name in starts}
    memory: dict[str, list[float]] = {name: [] for name in starts}
    for _ in range(effort.rounds):
        for name, start in starts.items():
            with start() as server:
                loads[name].append(_warmed(server, requests[name], effort, rate=rate))
                memory[name].append(sum(proportional for _, proportional in server.memory_mib()))
    return loads, memory


def _warmed(server: Server, asked: Request, effort: Effort, *, rate: float | None) -> Load:
    if effort.warm_up:
        closed_loop(server, asked, seconds=effort.warm_up)
    if rate is None:
        return closed_loop(server, asked, seconds=effort.seconds)
    return open_loop(server, asked, rate=rate, seconds=effort.seconds)


def _columns(records: Sequence[Mapping[str, object]]) -> dict[str, list[object]]:
    return {name: [record[name] for record in records] for name in records[0]}


def _median(loads: Sequence[Load], name: str) -> float:
    return statistics.median(float(getattr(load, name)) for load in loads)


def _rps(loads: Sequence[Load]) -> float:
    return _median(loads, "rps")


def _cells(name: str, loads: Sequence[Load]) -> str:
    values = [_median(loads, field) for field in ("p50_ms", "p95_ms", "p99_ms")]
    latency = "|".join(f"{value:.2f}" for value in values)
    errors = sum(load.errors for load in loads)
    return f"{name}|{_rps(loads):,.0f}|{latency}|{_median(loads, 'cpu_us'):.0f}|{errors}"


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)
