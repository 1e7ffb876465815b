"""Load on a server: `wrk`, as fast as 64 connections go, or a fixed rate; with the CPU time that the server spent."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT
from benchmarks.serving.processes import Server

CONNECTIONS = 64
_SCRIPT = """
local file = io.open("{body}", "rb")
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "{content_type}"
{key}
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\\n{{"requests": %d, "seconds": %f, "p50_ms": %f, "p95_ms": %f, "p99_ms": %f, "errors": %d}}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3,
    latency:percentile(99) / 1e3, errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


@dataclass(frozen=True)
class Request:
    """What is asked, again and again.

    Attributes:
        body: File with the body.
        content_type: Its media type.
        path: Where it is sent.
        key: API key; empty without.
    """

    body: Path
    content_type: str = "application/json"
    path: str = "/predict"
    key: str = ""


@dataclass(frozen=True)
class Load:
    """What a server did under load.

    Attributes:
        rps: Requests per second.
        p50_ms: Median latency.
        p95_ms: Its 95th percentile.
        p99_ms: Its 99th percentile.
        cpu_us: CPU microseconds of all processes of the server per request.
        requests: Number of requests.
        errors: Answers other than 2xx, and connections that failed.
    """

    rps: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_us: float
    requests: int
    errors: int


def closed_loop(server: Server, request: Request, *, seconds: float, connections: int = CONNECTIONS) -> Load:
    """`wrk -t1 -c64`: each connection asks again as soon as it is answered.

    Args:
        server: The server.
        request: What is asked.
        seconds: For how long.
        connections: Number of connections.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        raise RuntimeError("wrk is not installed; Debian has it as a package")
    script = request.body.with_suffix(".lua")
    key = f'wrk.headers["Authorization"] = "Bearer {request.key}"' if request.key else ""
    script.write_text(_SCRIPT.format(body=request.body, content_type=request.content_type, key=key))
    url = f"http://127.0.0.1:{server.port}{request.path}"
    words = [wrk, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s", "-s", str(script), url]
    return _measured(server, words)


def open_loop(server: Server, request: Request, *, rate: float, seconds: float) -> Load:
    """A fixed rate over 64 connections; latency counts from when a request was due.

    Args:
        server: The server.
        request: What is asked.
        rate: Requests per second.
        seconds: For how long.
    """
    program = ROOT / "benchmarks" / "programs" / "paced_load.py"
    url = f"http://127.0.0.1:{server.port}{request.path}"
    words = [sys.executable, str(program), url, str(request.body), request.content_type, request.key]
    return _measured(server, [*words, str(rate), str(seconds)])


def _measured(server: Server, words: list[str]) -> Load:
    before = server.cpu_seconds()
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    cpu = server.cpu_seconds() - before
    said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    requests = said["requests"]
    return Load(
        rps=said["rate"] if "rate" in said else requests / said["seconds"],
        p50_ms=said["p50_ms"],
        p95_ms=said["p95_ms"],
        p99_ms=said["p99_ms"],
        cpu_us=1e6 * cpu / max(1, requests),
        requests=requests,
        errors=said["errors"],
    )
