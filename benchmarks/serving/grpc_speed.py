"""gRPC beside HTTP: requests per second and latency of the same tensors over both protocols."""

import re
import shutil
import statistics
import struct
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import numpy as np

from benchmarks.page import table, verdict
from benchmarks.serving.effort import FULL, Effort
from benchmarks.serving.load import CONNECTIONS, Load
from benchmarks.serving.packages import FEATURES, small
from benchmarks.serving.processes import Server, free_port
from benchmarks.serving.servers import new_key, ours
from lightning_app.serving.grpc.messages import INFERENCE, ModelInferRequest

_ROW = np.linspace(-1, 1, FEATURES, dtype=np.float32).reshape(1, FEATURES)
_HEADER = "inference-header-content-length"


_CANCELLED = "499"
"""What was under way when the load ended."""


@dataclass(frozen=True)
class _Way:
    """A way to ask the same.

    Attributes:
        body: The body.
        path: Where it is sent.
        headers: Its headers.
        is_grpc: Whether it is sent to the port of gRPC.
    """

    body: bytes
    path: str
    headers: dict[str, str]
    is_grpc: bool = False


def serving_grpc(effort: Effort = FULL) -> str:
    """One row over gRPC, and over HTTP as JSON and as binary tensors."""
    h2load = shutil.which("h2load")
    if h2load is None:
        raise RuntimeError("h2load is not installed; Debian has it in nghttp2-client")
    ways = _ways()
    loads: dict[str, list[Load]] = {name: [] for name in ways}
    memory: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        package, key = small(folder / "small"), new_key(folder)
        for _ in range(effort.rounds):
            for name, way in ways.items():
                grpc_port = free_port()
                options = {"grpc_port": grpc_port} if way.is_grpc else {}
                with ours(folder, {"small": package}, **options) as server:
                    port = grpc_port if way.is_grpc else server.port
                    loads[name].append(_measured(h2load, server, way, port, key, folder, effort))
                    memory[name].append(sum(proportional for _, proportional in server.memory_mib()))
    json, grpc = loads["HTTP/1.1, JSON"], loads["gRPC, raw tensors"]
    ratio = _median(grpc, "rps") / _median(json, "rps")
    rows = []
    for name, of in loads.items():
        latency = "|".join(f"{_median(of, field):.2f}" for field in ("p50_ms", "p95_ms", "p99_ms"))
        errors = sum(load.errors for load in of)
        rows.append(
            f"{name}|{_median(of, 'rps'):,.0f}|{latency}|{_median(of, 'cpu_us'):.0f}|{errors}|"
            f"{statistics.median(memory[name]):.0f}"
        )
    return (
        "Perceptron 32 -> 128 -> 3, one row of 32 floats, `/v2/models/small/infer` and `ModelInfer`; key checked, batcher, "
        f"metrics, journal (SQLite); one worker, `h2load -t1 -c{CONNECTIONS} -m1` for all; medians of {effort.rounds} starts "
        f"in turn, {effort.seconds:.0f} s each. CPU and memory: all processes of the server.\n\n"
        + table("|requests/s|p50 ms|p95 ms|p99 ms|CPU us per request|errors|MiB (PSS)", *rows)
        + "\n\n"
        + table(
            "|aim|measured|",
            f"requests/s of gRPC to JSON|>= 0.4x|{ratio:.2f}x|{verdict(ratio >= 0.4)}",
            f"p99 of gRPC to JSON|-|{_median(grpc, 'p99_ms') / _median(json, 'p99_ms'):.2f}x|",
        )
    )


def _ways() -> dict[str, _Way]:
    tensor = {"name": "features", "shape": list(_ROW.shape), "datatype": "FP32"}
    plain = msgspec.json.encode({"inputs": [{**tensor, "data": _ROW.ravel().tolist()}]})
    raw = _ROW.tobytes()
    binary = {"inputs": [{**tensor, "parameters": {"binary_data_size": len(raw)}}]}
    header = msgspec.json.encode({**binary, "parameters": {"binary_data_output": True}})
    message = ModelInferRequest(model_name="small", raw_input_contents=[raw])
    message.inputs.add(name="features", datatype="FP32", shape=_ROW.shape)
    content = message.SerializeToString()
    path = "/v2/models/small/infer"
    return {
        "HTTP/1.1, JSON": _Way(plain, path, {"content-type": "application/json"}),
        "HTTP/1.1, binary tensors": _Way(
            header + raw, path, {"content-type": "application/octet-stream", _HEADER: str(len(header))}
        ),
        "gRPC, raw tensors": _Way(
            struct.pack(">BI", 0, len(content)) + content,
            f"/{INFERENCE}/ModelInfer",
            {"content-type": "application/grpc", "te": "trailers"},
            is_grpc=True,
        ),
    }


def _measured(h2load: str, server: Server, way: _Way, port: int, key: str, folder: Path, effort: Effort) -> Load:
    body, log = folder / "body", folder / "requests.log"
    body.write_bytes(way.body)
    log.unlink(missing_ok=True)
    words = [h2load, "-t1", f"-c{CONNECTIONS}", "-m1", "-d", str(body), *(() if way.is_grpc else ("--h1",))]
    for name, value in (way.headers | {"authorization": f"Bearer {key}"}).items():
        words += ["-H", f"{name}: {value}"]
    url = f"http://127.0.0.1:{port}{way.path}"
    if effort.warm_up:
        subprocess.run([*words, "-D", str(effort.warm_up), url], capture_output=True, check=True)
    before, answered, start = server.cpu_seconds(), _answered(server, key), time.perf_counter()
    subprocess.run(
        [*words, "-D", str(effort.seconds), f"--log-file={log}", url], capture_output=True, check=True
    )  # fmt: skip
    seconds = time.perf_counter() - start
    cpu = server.cpu_seconds() - before
    now = _answered(server, key)
    requests = now[0] - answered[0]
    microseconds = [int(line.split()[2]) for line in log.read_text().splitlines()]
    p50, p95, p99 = np.percentile(microseconds, (50, 95, 99)) / 1000
    return Load(
        rps=requests / seconds,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        cpu_us=1e6 * cpu / max(1, requests),
        requests=requests,
        errors=now[1] - answered[1],
    )


def _answered(server: Server, key: str) -> tuple[int, int]:
    """Predictions that were answered, and those that were not."""
    headers = {"authorization": f"Bearer {key}"}
    text = httpx.get(f"http://127.0.0.1:{server.port}/metrics", headers=headers).text
    found = re.findall(r'^lightning_app_requests_total\{.*code="(\d+)".*\} (\S+)$', text, re.MULTILINE)
    return (
        sum(int(float(count)) for code, count in found if code == "200"),
        sum(int(float(count)) for code, count in found if code not in ("200", _CANCELLED)),
    )


def _median(loads: Sequence[Load], name: str) -> float:
    return statistics.median(float(getattr(load, name)) for load in loads)
